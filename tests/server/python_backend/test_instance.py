from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from server import model_config
from server.engine import EngineError
from server.errors import InvalidRequest, ModelFailed, ServingError
from server.model import ModelVersion
from server.python_backend.instance import PythonInstance
from server.python_backend.request import TensorRequest
from tests.server.python_backend.steps import DOUBLE, DOUBLE_CONFIG, write_step
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IMPORTS = "import numpy as np, pathlib\nimport triton_python_backend_utils as pb_utils\n"


@pytest.fixture
def open_instance(tmp_path: Path) -> Callable[..., PythonInstance]:
    """Opens an instance of a model's code."""

    def open_instance(code: str = DOUBLE, config: str = DOUBLE_CONFIG) -> PythonInstance:
        path = write_step(tmp_path / "step", code, config)
        instance = PythonInstance(path, model_config.read(tmp_path / "step"), 1, 0)
        instance.open()
        return instance

    return open_instance


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Callable[..., ModelVersion]]:
    """Loads a model's code as a version of a model, and ends it with the test."""
    versions = []

    def load(code: str = DOUBLE, config: str = DOUBLE_CONFIG) -> ModelVersion:
        write_step(tmp_path / "step", code, config)
        versions.append(ModelVersion(model_config.read(tmp_path / "step"), 1, tmp_path / "step", 1, 1024))
        return versions[-1]

    yield load
    for version in versions:
        version.retire()
        assert version.wait_closed(HANGING_SECONDS)


def rows(*values: float) -> TensorRequest:
    """A request of as many rows as there are values."""
    return TensorRequest((np.array([[value, value] for value in values], np.float32),))


def run(instance: PythonInstance, *requests: TensorRequest) -> list[Any]:
    """Run one batch; what answers each request."""
    return list(instance.run(requests, [len(request.tensors[0]) for request in requests]).results)


def test_requests_of_a_batch_are_answered_in_order(open_instance: Callable[..., PythonInstance]) -> None:
    """Each request gets the tensors of its own rows."""
    one, two = run(open_instance(), rows(1), rows(2, 3))
    assert one[0].tolist() == [[2, 2]]
    assert two[0].tolist() == [[4, 4], [6, 6]]


def test_a_request_fails_alone_with_the_models_text(open_instance: Callable[..., PythonInstance]) -> None:
    """A TritonError answers its own request; its neighbours get their tensors."""
    good, bad, last = run(open_instance(), rows(1), rows(-1), rows(3))
    assert isinstance(bad, InvalidRequest)
    assert str(bad) == "negative"
    assert [good[0][0, 0], last[0][0, 0]] == [2, 6]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNKNOWN", "UNKNOWN"),
        ("INTERNAL", "INTERNAL"),
        ("NOT_FOUND", "NOT_FOUND"),
        ("INVALID_ARG", "INVALID_ARGUMENT"),
        ("UNAVAILABLE", "UNAVAILABLE"),
        ("UNSUPPORTED", "UNIMPLEMENTED"),
        ("ALREADY_EXISTS", "ALREADY_EXISTS"),
        ("CANCELLED", "CANCELLED"),
    ],
)
def test_every_code_of_triton_is_one_of_grpc(
    open_instance: Callable[..., PythonInstance], code: str, status: str
) -> None:
    """The codes go on the wire as Triton sends them."""
    [error] = run(open_instance(DOUBLE.replace("INVALID_ARG", code)), rows(-1))
    assert isinstance(error, ServingError)
    assert error.code is grpc.StatusCode[status]


def test_an_exception_fails_the_request_that_causes_it(load: Callable[..., ModelVersion]) -> None:
    """The caller learns no more than that it failed; the model goes on."""
    batcher = load().batcher
    failed, good = batcher.submit(rows(1000), 1), batcher.submit(rows(1), 1)
    error = failed.exception(HANGING_SECONDS)
    assert isinstance(error, ModelFailed)
    assert "too much" not in str(error)
    assert good.result(HANGING_SECONDS).result[0].tolist() == [[2, 2]]


@pytest.mark.parametrize("error", ["SystemExit(1)", "asyncio.CancelledError"])
def test_code_that_would_leave_fails_its_request_alone(
    load: Callable[..., ModelVersion], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What ends a program or a task ends neither the instance nor the closing of its version, which is in the log."""
    code = "import asyncio\n" + DOUBLE.replace('ValueError("too much")', error)
    version = load(code + f"\n    def finalize(self):\n        raise {error}\n")
    failed, good = version.batcher.submit(rows(1000), 1), version.batcher.submit(rows(1), 1)
    assert isinstance(failed.exception(HANGING_SECONDS), ModelFailed)
    assert good.result(HANGING_SECONDS).result[0].tolist() == [[2, 2]]
    assert version.batcher.alive
    version.retire()
    assert version.wait_closed(HANGING_SECONDS)
    assert "finalize failed: " + error.partition("(")[0].rpartition(".")[2] in caplog.text


def test_code_may_write_into_its_inputs(open_instance: Callable[..., PythonInstance]) -> None:
    """What came in a message can only be read, and what came from another step is seen by others: code gets a copy."""
    code = DOUBLE.replace("array * 2", "np.multiply(array, 2, out=array)")
    message = np.frombuffer(np.ones((1, 2), np.float32).tobytes(), np.float32).reshape(1, 2)
    [answer] = run(open_instance(code), TensorRequest((message,)))
    assert answer[0].tolist() == [[2, 2]]
    assert message.tolist() == [[1, 1]]


def test_code_may_write_its_answers_into_one_array(open_instance: Callable[..., PythonInstance]) -> None:
    """As under Triton an answer is the caller's from the moment at which it is given."""
    code = DOUBLE.replace("array * 2", "np.multiply(array, 2, out=KEPT)") + "\nKEPT = np.zeros((1, 2), np.float32)\n"
    instance = open_instance(code)
    answers = [run(instance, TensorRequest((np.full((1, 2), value, np.float32),)))[0] for value in (1, 3)]
    assert [answer[0].tolist() for answer in answers] == [[[2, 2]], [[6, 6]]]


def test_code_may_have_dataclasses(open_instance: Callable[..., PythonInstance]) -> None:
    """The module is found by its name, for as long as the instance lives."""
    code = "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass Pair:\n    a: int\n"
    modules = set(sys.modules)
    instance = open_instance(code + DOUBLE)
    [name] = [name for name in sys.modules.keys() - modules if "_model_" in name]
    assert sys.modules[name].Pair(1).a == 1
    instance.close()
    assert name not in sys.modules


@pytest.mark.parametrize("element", ["7", "None", "'\\ud800'"])
def test_what_is_no_text_fails_its_request_alone(open_instance: Callable[..., PythonInstance], element: str) -> None:
    """Elements of BYTES are bytes or text; anything else is the model's failure, told before anything is sent."""
    code = DOUBLE.replace("array * 2", f"np.array([[{element}, b'']], object)")
    config = DOUBLE_CONFIG.replace('"OUT" data_type: TYPE_FP32', '"OUT" data_type: TYPE_STRING')
    [answer] = run(open_instance(code, config), rows(1))
    with pytest.raises(ModelFailed, match="output OUT of the model has an element that is neither bytes nor text"):
        raise answer


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("None", "gave a NoneType instead of a response"),
        ("pb_utils.InferenceResponse([])", "gave no output OUT"),
        ("pb_utils.InferenceResponse([pb_utils.Tensor('OUT', array[:, :1])])", r"has shape \[1, 1\]"),
        ("pb_utils.InferenceResponse([pb_utils.Tensor('OUT', array.astype('f8'))])", "has type float64"),
    ],
)
def test_answers_that_break_the_config_are_failures(
    open_instance: Callable[..., PythonInstance], response: str, text: str
) -> None:
    """What config.pbtxt does not promise goes to nobody."""
    code = DOUBLE.replace('pb_utils.InferenceResponse([pb_utils.Tensor("OUT", array * 2)])', response)
    [answer] = run(open_instance(code), rows(1))
    with pytest.raises(ModelFailed, match=text):
        raise answer


def test_a_wrong_number_of_answers_fails_the_batch(open_instance: Callable[..., PythonInstance]) -> None:
    """Nobody gets another one's answer."""
    instance = open_instance(DOUBLE.replace("for request in requests]", "for request in requests][:1]"))
    with pytest.raises(ModelFailed, match="no list of 2 responses"):
        run(instance, rows(1), rows(2))


def test_initialize_is_told_what_triton_tells(open_instance: Callable[..., PythonInstance], tmp_path: Path) -> None:
    """The arguments have Triton's names, the configuration is its JSON with whole numbers."""
    code = DOUBLE.replace(
        "    def execute", "    def initialize(self, args):\n        self.args = args\n\n    def execute"
    )
    arguments = open_instance(code)._model.args
    config = json.loads(arguments.pop("model_config"))
    assert arguments == {
        "model_instance_kind": "CPU",
        "model_instance_name": "step_0_0",
        "model_instance_device_id": "0",
        "model_repository": str(tmp_path / "step"),
        "model_version": "1",
        "model_name": "step",
    }
    assert config["max_batch_size"] == 4
    assert config["default_model_filename"] == "model.py"
    assert config["input"][0]["dims"] == [2]
    assert config["input"][0]["data_type"] == "TYPE_FP32"
    assert config["dynamic_batching"]["preferred_batch_size"] == [4]
    assert config["version_policy"] == {"latest": {"num_versions": 1}}
    assert config["parameters"] == {}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("x = 1\nimport nonsense\n", "model.py:2: ModuleNotFoundError: No module named 'nonsense'"),
        ("def broken(:\n", "model.py:1: SyntaxError: invalid syntax (model.py, line 1)"),
        ("pass\n", "model.py: AttributeError: module '_model_"),
        ("class TritonPythonModel:\n    pass\n", "model.py: AttributeError: 'TritonPythonModel' object has no"),
        (
            IMPORTS + "class TritonPythonModel:\n    def initialize(self, args):\n"
            "        raise pb_utils.TritonModelException('no weights')\n",
            "model.py:5: TritonModelException: no weights",
        ),
        ("import sys\nsys.exit('no weights')\n", "model.py:2: SystemExit: no weights"),
        (
            IMPORTS + "class TritonPythonModel:\n    def initialize(self, args):\n        open('/absent.bin')\n",
            "model.py:5: FileNotFoundError: ",
        ),
    ],
)
def test_code_that_does_not_load_is_one_line_with_its_place(
    open_instance: Callable[..., PythonInstance], code: str, text: str
) -> None:
    """File and line of the model's own code, and what went wrong there."""
    modules = set(sys.modules)
    with pytest.raises(EngineError) as caught:
        open_instance(code)
    assert str(caught.value).startswith(text)
    assert {name for name in sys.modules.keys() - modules if "_model_" in name} == set()
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told_of(tmp_path: Path) -> None:
    """A version without its code names the file."""
    path = write_step(tmp_path / "step")
    path.unlink()
    with pytest.raises(EngineError, match=r"model\.py cannot be read: No such file"):
        PythonInstance(path, model_config.read(tmp_path / "step"), 1, 0).open()


def test_every_instance_has_an_object_and_globals_of_its_own(load: Callable[..., ModelVersion]) -> None:
    """As under Triton, instances share nothing."""
    version = load("seen = []\n" + DOUBLE, DOUBLE_CONFIG.replace("count: 1", "count: 3"))
    models = [instance._model for instance in version.batcher._instances]
    assert len({id(model) for model in models}) == 3
    assert len({id(type(model).execute.__globals__["seen"]) for model in models}) == 3


def test_every_instance_is_finalized_once(load: Callable[..., ModelVersion], tmp_path: Path) -> None:
    """The end of a version, not that of a batch, lets its models finalize, in the threads that they have worked in."""
    log = tmp_path / "log"
    code = (
        DOUBLE
        + "\n    def finalize(self):\n        import threading\n"
        + f"        with open({str(log)!r}, 'a') as log:\n            log.write(threading.current_thread().name + ' ')"
    )
    version = load(code, DOUBLE_CONFIG.replace("count: 1", "count: 2"))
    version.batcher.submit(rows(1), 1).result(HANGING_SECONDS)
    assert not log.exists()
    version.retire()
    assert version.wait_closed(HANGING_SECONDS)
    assert sorted(log.read_text().split()) == sorted(thread.name for thread in version.batcher._threads)


def test_code_that_cannot_do_with_zeros_loads_all_the_same(load: Callable[..., ModelVersion]) -> None:
    """Triton asks a model nothing that config.pbtxt does not, so zeros that fail keep no model away."""
    version = load(DOUBLE.replace("array > 100", "array == 0"))
    assert version.batcher.submit(rows(1), 1).result(HANGING_SECONDS).result[0].tolist() == [[2, 2]]


@pytest.mark.parametrize(("old", "new"), [("array > 100", "array == 0"), ("array < 0", "array == 0"), ("", "")])
def test_zeros_that_fail_teach_nothing(open_instance: Callable[..., PythonInstance], old: str, new: str) -> None:
    """Whether the code raises or answers with an error, how fast that was says nothing of what batches take."""
    assert open_instance(DOUBLE.replace(old, new) if old else DOUBLE).warm_up(2) is not bool(old)


def test_texts_and_tensors_of_any_size_pass(load: Callable[..., ModelVersion]) -> None:
    """Elements of BYTES are `bytes`, and a dimension of -1 takes any size."""
    config = """
        backend: "python"  max_batch_size: 4  instance_group [ { count: 1 } ]
        input [ { name: "IN" data_type: TYPE_STRING dims: [ -1 ] } ]
        output [ { name: "OUT" data_type: TYPE_STRING dims: [ -1 ] } ]
    """
    batcher = load(DOUBLE.replace("(array < 0).any()", "False").replace("(array > 100).any()", "False"), config).batcher
    array = np.array([[b"a", b"\0bc", b""]], object)
    assert batcher.submit(TensorRequest((array,)), 1).result(HANGING_SECONDS).result[0].tolist() == [
        [b"aa", b"\0bc\0bc", b""]
    ]


def test_a_model_learns_that_its_caller_has_left(load: Callable[..., ModelVersion], tmp_path: Path) -> None:
    """Code that takes long can look whether anybody still waits."""
    door = tmp_path / "started"
    loop = f"""
        if array[0, 0] == 1:
            open({str(door)!r}, "w").close()
            while not request.is_cancelled():
                pass
"""
    code = DOUBLE.replace("def answer(self, array):", f"def answer(self, array, request):{loop}").replace(
        ".as_numpy())", ".as_numpy(), request)"
    )
    request = rows(1)
    future = load(code).batcher.submit(request, 1)
    started = threading.Event()
    while not door.exists():
        assert not future.done()
        started.wait(0.01)
    request.cancelled = True
    assert future.result(HANGING_SECONDS).result[0].tolist() == [[2, 2]]
