"""From a command's arguments to a session that is ready to offer load, with everything checked before any is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.arguments import address, image_files
from loadtest.host import process_cpu_seconds
from loadtest.images import make_images, read_images
from loadtest.options import Options
from loadtest.payloads import Mix, answers_at_rest, check, make_workload
from loadtest.target import Target, TargetError, find_target

if TYPE_CHECKING:
    import argparse

    from loadtest.scenarios import Scenario
    from loadtest.workload import Workload


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a session needs."""

    target: Target
    workload: Workload
    options: Options


def prepare(arguments: argparse.Namespace, scenario: Scenario) -> Prepared:
    """Ask the server what it takes, make the requests, and try one of each kind.

    Raises:
        TargetError: The server cannot be reached or does not take what is to be sent.
        ValueError: The arguments do not fit each other or this machine.
    """
    files = image_files(arguments)
    _check_cpus(arguments.cpus | arguments.server_cpus)
    if arguments.server_cpus and arguments.server_pid is None:
        raise ValueError("--server-cpus needs --server-pid")
    if arguments.server_pid is not None and process_cpu_seconds(arguments.server_pid) is None:
        raise ValueError(f"there is no process {arguments.server_pid}")
    target = find_target(address(arguments.url, arguments), arguments.model, arguments.payload, arguments.api)
    images = read_images(files) if files else make_images(arguments.seed)
    mix = Mix(arguments.batch_sizes or scenario.batch_sizes, scenario.bad_share, arguments.seed)
    workload = make_workload(target, images, mix)
    compare_every = scenario.compare_every if arguments.compare_every is None else arguments.compare_every
    try:
        check(target.address, workload)
        workload = answers_at_rest(target.address, workload) if compare_every else workload
    except TargetError as error:
        raise TargetError(f"{target.url}: {error}") from error
    return Prepared(target, workload, _options(arguments, compare_every))


def _options(arguments: argparse.Namespace, compare_every: int) -> Options:
    return Options(
        processes=arguments.processes,
        deadline_seconds=arguments.deadline,
        most_in_flight=arguments.most_in_flight,
        compare_every=compare_every,
        cpus=arguments.cpus,
        server_pid=arguments.server_pid,
        server_cpus=arguments.server_cpus,
        warm_up_seconds=arguments.warm_up,
    )


def _check_cpus(wanted: frozenset[int]) -> None:
    if missing := wanted - os.sched_getaffinity(0):
        raise ValueError(f"there is no core {min(missing)} for this process")
