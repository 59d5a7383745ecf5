"""The parts of the Ray executor that need no cluster."""

import socket
from typing import Any

import pytest

from lukv_bench import UserError
from lukv_bench.bench.errors import WorkerError
from lukv_bench.bench.run.executors import ray_cluster
from lukv_bench.bench.run.executors.ray_cluster import Head, RayCluster, RayHand, most_on_a_device, room


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "CHECK_S", 0.0)
    monkeypatch.setattr(ray_cluster, "PATIENCE_S", 0.0)


@pytest.fixture(autouse=True)
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the cluster says of its machines."""
    there: list[dict[str, Any]] = [{"Alive": True, "NodeID": "own"}, {"Alive": True, "NodeID": "other"}]
    monkeypatch.setattr(ray_cluster.ray, "nodes", lambda: there)
    return there


def test_where_rays_part_on_this_machine_is_gone_the_run_ends_with_a_sentence(
    impatient: None, nodes: list[dict[str, Any]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        head = Head(f"127.0.0.1:{listener.getsockname()[1]}", "own")
        head.check()
        nodes[0]["Alive"] = False
        with pytest.raises(WorkerError, match="Ray has ended on the machine that this run was started on"):
            head.check()


def test_a_head_that_is_gone_ends_the_run_with_a_sentence(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    head = Head(f"127.0.0.1:{listener.getsockname()[1]}", "own")
    monkeypatch.setattr(ray_cluster, "CONNECT_S", 5.0)
    head.check()
    listener.close()
    with pytest.raises(WorkerError, match=r"the head of the Ray cluster at .* is gone .*run the same command"):
        head.check()
    monkeypatch.setattr(ray_cluster.ray, "kill", lambda _: pytest.fail("nobody would hear it"))
    RayHand(None, None, head).end()


def test_a_head_that_is_back_in_time_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "CHECK_S", 0.0)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    head = Head(f"127.0.0.1:{port}", "own")
    listener.close()
    head.check()
    assert head.silent_since is not None
    with socket.create_server(("127.0.0.1", port)):
        head.check()
    assert head.silent_since is None


def test_no_worker_is_started_while_the_head_is_gone(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    head = Head(f"127.0.0.1:{listener.getsockname()[1]}", "own")
    listener.close()
    monkeypatch.setattr(ray_cluster.ray, "remote", lambda _: pytest.fail("Ray would end this process"))
    setup: Any = None
    with pytest.raises(WorkerError, match="what was answered is stored"):
        RayCluster(setup, 1, {}, head).start(0)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        (None, ("Ray cannot be started here", "timed out during startup", "without --executor ray")),
        ("10.0.0.1:6379", ("the Ray cluster at 10.0.0.1:6379 cannot be reached", "check --address")),
    ],
)
def test_ray_that_cannot_be_started_is_one_sentence_whatever_it_raises(
    monkeypatch: pytest.MonkeyPatch, address: str | None, parts: tuple[str, ...]
) -> None:
    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup. This could happen because of much.")

    for name in ray_cluster.SETTINGS:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(ray_cluster.ray, "init", init)
    setup: Any = None
    with pytest.raises(UserError) as refused, ray_cluster.ray_cluster(setup, 2, address):
        pass
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("resources", "device", "asked", "expected"),
    [
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}], None, None, (3, {"num_gpus": 1, "num_cpus": 0})),
        ([{"CPU": 8.0, "GPU": 2.0}], None, 1, (1, {"num_gpus": 1, "num_cpus": 0})),
        ([{"CPU": 8.0, "GPU": 2.0}], "cpu", 4, (4, {"num_gpus": 0, "num_cpus": 2})),
        ([{"CPU": 4.0}, {"CPU": 4.0}], None, None, (2, {"num_gpus": 0, "num_cpus": 4})),
        ([{"CPU": 4.0}, {"CPU": 4.0}], None, 3, (3, {"num_gpus": 0, "num_cpus": 2})),
        ([{"CPU": 4.0}, {"memory": 1.0}], None, 1, (1, {"num_gpus": 0, "num_cpus": 4})),
    ],
)
def test_workers_have_a_gpu_each_or_an_even_part_of_the_processors(
    resources: list[dict[str, float]], device: str | None, asked: int | None, expected: Any
) -> None:
    assert room(resources, device, asked) == expected


@pytest.mark.parametrize(
    ("resources", "n_workers", "each", "expected"),
    [
        ([{"CPU": 8.0, "GPU": 4.0}], 4, {"num_gpus": 1, "num_cpus": 0}, 1),
        ([{"CPU": 8.0}, {"CPU": 4.0}], 5, {"num_gpus": 0, "num_cpus": 2}, 4),
        ([{"CPU": 8.0}, {"memory": 1.0}], 1, {"num_gpus": 0, "num_cpus": 8}, 1),
    ],
)
def test_workers_that_ray_may_put_on_one_machine_share_its_memory(
    resources: list[dict[str, float]], n_workers: int, each: dict[str, int], expected: int
) -> None:
    assert most_on_a_device(resources, n_workers, each) == expected


@pytest.mark.parametrize(
    ("resources", "words"), [([{"CPU": 2.0}], "has CPUs, 2"), ([{"CPU": 64.0, "GPU": 2.0}], "has GPUs, 2")]
)
def test_more_workers_than_the_cluster_has_room_for_are_refused(resources: list[dict[str, float]], words: str) -> None:
    with pytest.raises(UserError, match=f"--workers 3 is more than the Ray cluster {words}"):
        room(resources, None, 3)
