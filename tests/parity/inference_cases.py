"""Inferences that are asked of both servers, right and wrong ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.parity.messages import Output, Tensor, Uint64, Unset, image, infer, numbers, tensors, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tritonclient.grpc import service_pb2 as pb


def good_inferences() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Requests that are answered with tensors."""
    yield "one row", infer(image())
    yield "no id", infer(image(), request_id="")
    yield "three rows", infer(image((3, 4, 4, 3)))
    yield "the largest batch", infer(image((8, 4, 4, 3)))
    yield "version 1", infer(image(), version="1")
    for text in ("01", " 1", "1 ", "+1", "1.5"):
        yield f"version {text!r} reads as 1", infer(image(), version=text)
    yield "the latest version", infer(image((4, 4, 3)), model="unbatched")
    yield "an older version", infer(image((4, 4, 3)), model="unbatched", version="1")
    yield "the output by name", infer(image(), outputs=[Output()])
    yield "an output asked for twice", infer(image(), outputs=[Output(), Output()])
    yield "typed contents", infer(image(contents={"uint_contents": range(48)}))
    yield "typed contents of more than eight bits", infer(image(contents={"uint_contents": [300] * 48}))
    yield "more raw contents than inputs", infer(image(), extra_raw=[b"more"])
    yield "four types", infer(*tensors(), model="tensors")
    yield "four types, two rows", infer(*tensors(2), model="tensors")
    yield "inputs in another order", infer(*reversed(tensors()), model="tensors")
    yield "outputs in another order", infer(*tensors(), model="tensors", outputs=[Output("OUTPUT__2"), Output()])
    for model in ("by_name", "by_index"):
        yield f"inputs in another order than the module's, {model}", infer(*numbers(model), model=model)
        yield f"the same in the module's order, {model}", infer(*reversed(numbers(model)), model=model)
    flags = replace(tensors()[2], raw=b"\2\0")
    yield "a flag that is neither 0 nor 1", infer(*tensors()[:2], flags, tensors()[3], model="tensors")


def classifications() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Outputs asked for as classes, with Triton's classification extension."""

    def classes(count: Any, **changes: Any) -> pb.ModelInferRequest:
        return infer(changes.pop("image", image()), outputs=[Output(parameters={"classification": count})], **changes)

    for count in (1, 3, 5, 7):
        yield f"{count} of five classes", classes(count)
    yield "two classes of three rows", classes(2, image=image((3, 4, 4, 3)))
    yield "five classes that tie", classes(5, image=image(raw=b"\x40" * 48))
    yield "three classes, two of which tie", classes(3, image=image(raw=bytes([5, 9, 7, 9, 1]) + bytes(43)))
    yield "classes without a batch", classes(2, image=image((4, 4, 3)), model="unbatched")
    for value in (0, -1, 1 << 32, "3", True, 3.0, Uint64(3), Unset()):
        yield f"classification {_text(value)}", classes(value)
    output = {"classification": 1}
    yield "classes of an unknown output", infer(image(), outputs=[Output("OTHER", output)])
    for name, kind in (
        ("OUTPUT__0", "floats"),
        ("OUTPUT__1", "integers"),
        ("OUTPUT__2", "flags"),
        ("OUTPUT__3", "halves"),
    ):
        yield f"classes of {kind} without labels", infer(*tensors(), model="tensors", outputs=[Output(name, output)])


def repetitions() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Inputs and outputs that come twice."""
    without = Tensor("INPUT__0", "UINT8", (1, 4, 4, 3))
    yield "an input twice, without data", infer(without, without)
    yield "an input twice, with raw and typed contents", infer(image(), replace(image(), contents={}))
    yield "an input twice, of an unknown name", infer(image(name="OTHER"), image(name="OTHER"))
    classes, plain = Output(parameters={"classification": 2}), Output()
    more = Output(parameters={"classification": 3})
    for name, outputs in (("first", (classes, plain)), ("second", (plain, classes)), ("both", (more, classes))):
        yield f"an output twice, classes in the {name}", infer(image(), outputs=outputs)


def wrong_names() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Models, versions, inputs and outputs that do not exist."""
    yield "an unknown model", infer(image(), model="other")
    yield "no model", infer(image(), model="")
    yield "a model that did not load", infer(image(), model="broken")
    for text in ("2", "0", "0x1", "abc", "-1", "99999999999999999999", "9223372036854775807"):
        yield f"version {text!r}", infer(image(), version=text)
    yield "an unknown model and a bad version", infer(image(), model="other", version="abc")
    yield "an unknown input", infer(image(name="OTHER"))
    yield "an input without a name", infer(image(name=""))
    yield "an input too many", infer(image(), image(name="OTHER"))
    yield "an input too many and without data", infer(image(), Tensor("OTHER", "UINT8", (1,)))
    yield "an input twice", infer(image(), image())
    yield "no inputs", infer()
    yield "no inputs and no id", infer(request_id="")
    yield "inputs missing", infer(tensors()[0], model="tensors")
    yield "an unknown output", infer(image(), outputs=[Output("OTHER")])
    yield "an unknown output beside a known one", infer(image(), outputs=[Output(), Output("OTHER")])


def wrong_shapes() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Shapes that the model does not take."""
    shapes = [
        (4, 4, 3),
        (1, 4, 4),
        (1, 4, 4, 3, 1),
        (1, 5, 4, 3),
        (9, 4, 4, 3),
        (0, 4, 4, 3),
        (),
        (1, 0, 4, 3),
        (48,),
        (1,),
    ]
    for shape in shapes:
        yield f"shape {list(shape)}", infer(image(shape))
    for shape in ((1, -1, 4, 3), (1, 4, 4, -3), (-1, 4, 4, 3)):
        yield f"shape {list(shape)}", infer(image(shape, raw=bytes(48)))
    yield "no rows but data", infer(image((0, 4, 4, 3), raw=bytes(48)))
    for shape in ((1, 4, 4, 3), (4, 4), (), (0, 4, 3)):
        yield f"shape {list(shape)} without a batch", infer(image(shape), model="unbatched")
    yield "shape [-1, 4, 3] without a batch", infer(image((-1, 4, 3), raw=bytes(48)), model="unbatched")
    yield "inputs of different rows", infer(tensors(1)[0], *tensors(2)[1:], model="tensors")


def wrong_data() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Data of the wrong type or size, in the wrong place, or absent."""
    for datatype in ("FP32", "INT8", "BYTES", "BF16", "FOO", "", "uint8", "STRING"):
        yield f"datatype {datatype!r}", infer(image(datatype=datatype))
    for size in (0, 47, 49, 96):
        yield f"{size} bytes for 48", infer(image(raw=bytes(size)))
    for size in (47, 49):
        yield f"{size} typed numbers for 48", infer(image(contents={"uint_contents": [1] * size}))
    yield "no data", infer(Tensor("INPUT__0", "UINT8", (1, 4, 4, 3)))
    yield "empty typed contents", infer(Tensor("INPUT__0", "UINT8", (1, 4, 4, 3), contents={}))
    yield "raw and typed contents", infer(replace(image(), contents={"uint_contents": [1] * 48}))
    yield "raw and empty typed contents", infer(replace(image(), contents={}))
    typed = {"bool": True, "int": 1, "int64": 1, "uint64": 1, "fp32": 1.0, "fp64": 1.0, "bytes": b"a"}
    for name, value in typed.items():
        yield f"{name}_contents for UINT8", infer(image(contents={f"{name}_contents": [value] * 48}))
    two = {"uint_contents": [1] * 48, "int_contents": [1] * 48}
    yield "typed contents of two kinds", infer(image(contents=two))
    for datatype, name, value in (
        ("FOO", "uint", 1),
        ("FP16", "fp32", 1.0),
        ("BYTES", "bytes", b"a"),
        ("FP32", "fp32", 0.0),
    ):
        yield (
            f"{datatype} in {name}_contents",
            infer(image(datatype=datatype, contents={f"{name}_contents": [value] * 48})),
        )
    yield "fewer raw contents than inputs", infer(*tensors()[:3], replace(tensors()[3], raw=None), model="tensors")
    last = replace(tensors()[3], raw=None, contents={"fp32_contents": [1, 2]})
    yield "typed contents for one input of several", infer(*tensors()[:3], last, model="tensors")


def request_parameters() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Parameters of the request, each with values of every type."""
    keys = ("custom", "priority", "timeout", "sequence_id", "sequence_start", "sequence_end", "triton_other")
    for key in (*keys, "triton_enable_empty_final_response", "triton_final_response", "binary_data_output"):
        for value in (True, 5, "x", 1.5, Uint64(5), Unset()):
            yield f"request's {key} {_text(value)}", infer(image(), parameters={key: value})
    for key, value in (("priority", 0), ("priority", -1), ("timeout", 0), ("timeout", -1), ("sequence_id", 0), ("", 1)):
        yield f"request's {key} {value}", infer(image(), parameters={key: value})


def tensor_parameters() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Parameters of inputs and outputs."""
    for key, value in (("custom", 5), ("binary_data", True), ("binary_data_size", 48), ("classification", 2)):
        yield f"input's {key}", infer(image(parameters={key: value}))
    for key, value in (("custom", 5), ("binary_data", True), ("binary_data_size", 48)):
        yield f"output's {key}", infer(image(), outputs=[Output(parameters={key: value})])
    region = {"shared_memory_region": "region", "shared_memory_byte_size": 48}
    yield "an input in shared memory", infer(Tensor("INPUT__0", "UINT8", (1, 4, 4, 3), parameters=region))
    yield "an output in shared memory", infer(image(), outputs=[Output(parameters=region)])


def two_faults() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Which of two faults a server tells."""
    bad = {"timeout": True}
    other = [Output("OTHER")]
    none = [Output(parameters={"classification": 0})]
    yield "unknown model, bad parameter", infer(image(), model="other", parameters=bad)
    yield "unknown version, bad parameter", infer(image(), version="9", parameters=bad)
    yield "bad parameter, no data", infer(Tensor("INPUT__0", "UINT8", (1, 4, 4, 3)), parameters=bad)
    yield "bad parameter, unknown output", infer(image(), parameters=bad, outputs=other)
    yield "bad parameter, unknown input", infer(image(name="OTHER"), parameters=bad)
    yield "bad parameter, no classes", infer(image(), parameters=bad, outputs=none)
    yield "no data, unknown output", infer(Tensor("INPUT__0", "UINT8", (1, 4, 4, 3)), outputs=other)
    yield "no data, unknown input", infer(Tensor("OTHER", "UINT8", (1, 4, 4, 3)))
    yield "no data, wrong datatype", infer(Tensor("INPUT__0", "FP32", (1, 4, 4, 3)))
    yield "no data, no classes", infer(Tensor("INPUT__0", "UINT8", (1, 4, 4, 3)), outputs=none)
    yield "no classes, wrong shape", infer(image((4, 4, 3)), outputs=none)
    yield "unknown output, unknown input", infer(image(name="OTHER"), outputs=other)
    yield "unknown output, wrong shape", infer(image((4, 4, 3)), outputs=other)
    yield "unknown output, wrong datatype", infer(image(datatype="FP32"), outputs=other)
    yield "unknown output, large batch", infer(image((9, 4, 4, 3)), outputs=other)
    yield "raw and typed contents, unknown output", infer(replace(image(), contents={}), outputs=other)
    yield "unknown input, wrong shape", infer(image((4, 4, 3), name="OTHER"))
    yield "unknown input, large batch", infer(image((9, 4, 4, 3), name="OTHER"))
    yield "unknown input, no shape", infer(image((), raw=bytes(48), name="OTHER"))
    two_rows = replace(tensors(2)[3], name="OTHER")
    yield "unknown input, different rows", infer(*tensors(1)[:3], two_rows, model="tensors")
    yield "wrong datatype, wrong shape", infer(image((1, 5, 4, 3), datatype="FP32"))
    yield "wrong datatype, wrong size", infer(image(datatype="FP32", raw=b"1"))
    yield "wrong datatype, open dimension", infer(image((1, -1, 4, 3), datatype="FP32", raw=bytes(48)))
    yield "large batch, wrong datatype", infer(image((9, 4, 4, 3), datatype="FP32"))
    yield "large batch, wrong shape", infer(image((9, 5, 4, 3)))
    yield "large batch, wrong size", infer(image((9, 4, 4, 3), raw=b"1"))
    yield "large batch, open dimension", infer(image((9, -1, 4, 3), raw=bytes(48)))
    yield "wrong shape, wrong size", infer(image((1, 5, 4, 3), raw=b"1"))
    yield "wrong shape, open dimension", infer(image((1, -1, 3), raw=b"1"))
    yield "different rows, wrong size", infer(tensors(2)[0], *tensors(1)[1:], model="tensors")


def executions() -> Iterator[tuple[str, pb.ModelInferRequest]]:
    """Requests that reach the model `work`."""
    yield "work", work(0, rows=2)
    yield "work that fails", work(-1)


def _text(value: Any) -> str:
    match value:
        case Unset():
            return "unset"
        case Uint64():
            return f"uint64 {value.value}"
        case _:
            return repr(value)


TABLES = (
    good_inferences,
    classifications,
    repetitions,
    wrong_names,
    wrong_shapes,
    wrong_data,
    request_parameters,
    tensor_parameters,
    two_faults,
    executions,
)
