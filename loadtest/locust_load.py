"""Users for Locust that do not wait: requests leave when they are due and are timed from then.

Locust's users send, wait for the answer and only then think of the next request, also with `constant_throughput`: a
stalled server is asked less, and the requests that should have been sent during the stall are in no percentile
(coordinated omission).
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import gevent
import grpc
import numpy as np
from gevent.pool import Group
from locust import User, constant, task
from locust.exception import StopUser

from loadtest.answers import judge, judge_refusal
from loadtest.arguments import image_files
from loadtest.images import make_images, read_images
from loadtest.locust_ledger import Ledger
from loadtest.payloads import Mix, check, make_workload
from loadtest.target import find_target
from loadtest.trace import DROPPED

if TYPE_CHECKING:
    import argparse

    from locust.env import Environment

    from loadtest.address import Address
    from loadtest.target import Target
    from loadtest.workload import Message

SERVICE = "service"
LAG = "lag"


def asked_server(address: Address, options: argparse.Namespace) -> Target:
    """The server at an address, and those of its models that Locust's options name.

    Raises:
        TargetError: It cannot be reached, or does not take what is to be sent.
    """
    return find_target(address, options.model, options.payload, options.api)


class RequestError(Exception):
    """A request did not end with the right answer; the text is how it ended."""


class Load:
    """What the users of one process share: a channel, the requests in turn, and what became of them.

    Attributes:
        target: The server.
        workload: What is sent.
        kinds: The names of its messages' kinds; each message has one image.
        ledger: What became of it, by the kinds' numbers.
    """

    def __init__(self, environment: Environment, address: Address, options: argparse.Namespace) -> None:
        """Ask the server at an address what it takes, make the requests and try one.

        Raises:
            TargetError: The server cannot be reached, or does not take what is to be sent.
            ValueError: An image is not to be had.
        """
        files = image_files(options)
        self.target = asked_server(address, options)
        # In a thread, since it takes a second or more, and a worker that says nothing meanwhile is taken for lost.
        in_thread = gevent.get_hub().threadpool.apply
        images = in_thread(read_images, (files,)) if files else in_thread(make_images, (options.seed,))
        self.workload = in_thread(make_workload, (self.target, images, Mix(seed=options.seed)))
        check(self.target.address, self.workload)
        # Sorted, so that all processes number them alike.
        self.kinds = tuple(sorted(set(self.workload.kinds)))
        self._kind_numbers = {kind: number for number, kind in enumerate(self.kinds)}
        self.ledger = Ledger()
        self._name = self.target.method.rpartition("/")[2]
        self._environment = environment
        self._deadline_seconds = options.deadline
        self._most_in_flight = options.most_in_flight
        self._seed = (options.seed, getattr(environment.runner, "worker_index", 0))
        self._sources = itertools.count()
        self._numbers = itertools.count()
        self._under_way = Group()
        self._channel = self.target.address.load_channel()
        self._call = self._channel.unary_unary(self.target.method, request_serializer=None, response_deserializer=None)

    @property
    def in_flight(self) -> int:
        """Requests that were sent and have not ended."""
        return len(self._under_way)

    def new_source(self) -> np.random.Generator:
        """The randomness of one more user, another one than any other's in any process."""
        return np.random.default_rng((*self._seed, next(self._sources)))

    def send(self, due: float) -> None:
        """Send the next request and return at once; `due` is an instant of `time.perf_counter`."""
        message = self.workload.messages[next(self._numbers) % len(self.workload.messages)]
        if len(self._under_way) >= self._most_in_flight:
            self._tell(due, np.nan, np.nan, message, DROPPED)
        else:
            self._under_way.start(gevent.Greenlet(self._exchange, due, message))

    def drain(self) -> None:
        """Wait for all answers; the calls' deadline bounds it."""
        self._under_way.join()
        self._channel.close()

    def _exchange(self, due: float, message: Message) -> None:
        length = 0
        sent = time.perf_counter()
        try:
            reply = self._call(message.body, timeout=self._deadline_seconds)
            done = time.perf_counter()
            outcome, length = judge(message, reply, compare=False), len(reply)
        except grpc.RpcError as error:
            done = time.perf_counter()
            outcome = judge_refusal(message, error.code().name)
        self._tell(due, sent, done, message, outcome, length)

    def _tell(self, due: float, sent: float, done: float, message: Message, outcome: str, length: int = 0) -> None:
        """Note it for the verdict, and for Locust: its percentiles are of response times, from the instant due."""
        self.ledger.add(due, sent, done, self._kind_numbers[message.kind], outcome)
        response = self._deadline_seconds if outcome == DROPPED else done - due  # nobody waits longer for an answer
        self._environment.events.request.fire(
            request_type="grpc",
            name=self._name,
            response_time=response * 1e3,
            response_length=length,
            exception=None if outcome == "OK" else RequestError(outcome),
            context={"due": due, "sent": sent, "done": done},
        )
        if outcome == "OK":  # beside it, and not in Locust's totals: what others report, and our own delay
            self._environment.stats.get(self._name, SERVICE).log((done - sent) * 1e3, length)
            self._environment.stats.get(self._name, LAG).log((sent - due) * 1e3, 0)


class OpenLoopUser(User):  # type: ignore[misc] # Locust's classes are not annotated
    """One of many independent callers: a Poisson source, whose sum with others is one of the summed rate."""

    wait_time = constant(0)

    @task  # type: ignore[untyped-decorator] # likewise
    def arrive(self) -> None:
        """Send at instants with exponential gaps until Locust stops the user."""
        load: Load | None = self.environment.load
        if load is None:  # there is nothing to send
            raise StopUser
        rate = self.environment.parsed_options.rate_per_user
        generator = load.new_source()
        due = time.perf_counter()
        while True:
            due += generator.exponential(1 / rate)
            gevent.sleep(max(0.0, due - time.perf_counter()))
            load.send(due)
