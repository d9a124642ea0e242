"""What a container leaves of a machine, from trees like those that Linux shows."""

import os

import pytest

from ltjax import machine

GIB = 2**30
# As a kernel writes them: of the second version alone, of the first, and of both.
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "32 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)
OWN_V1 = "9:name=systemd:/a/b\n4:memory:/a/b\n1:cpu,cpuacct:/a/b\n"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Builds such a tree on a machine of 24 GiB and 8 cores; returns its root."""
    monkeypatch.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 24 * 2**18, "SC_PAGE_SIZE": 4096}.get
    )
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), False)

    def build(own, mounts, **files):
        proc = tmp_path / "proc/self"
        proc.mkdir(parents=True)
        (proc / "cgroup").write_text(own)
        (proc / "mountinfo").write_text(
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\nno line of the kernel's\n" + mounts
        )
        for name, text in files.items():
            file = tmp_path / "sys/fs/cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        return tmp_path

    return build


def test_a_machine_without_groups_has_all_of_it(tree):
    root = tree("", "")
    assert machine.memory(root) == 24 * GIB
    assert machine.cores(root) == machine.threads(root) == 8
    (root / "proc/self/cgroup").unlink()
    (root / "proc/self/mountinfo").unlink()
    assert machine.memory(root) == 24 * GIB


def test_the_container_sees_itself_at_the_top(tree):
    files = {"memory.max": str(GIB), "cpu.max": "150000 100000"}
    root = tree("0::/\n", V2, **files)
    assert machine.memory(root) == GIB
    assert machine.cores(root) == 1.5
    assert machine.threads(root) == 2


@pytest.mark.parametrize("smallest", ["", "a/", "a/b/"])
def test_the_smallest_limit_of_all_groups_above_counts(tree, smallest):
    files = {
        f"{place}{name}": text
        for place in ("", "a/", "a/b/")
        for name, text in (("memory.max", "max"), ("cpu.max", "max 100000"))
    }
    files |= {"a/b/memory.max": str(8 * GIB), "a/cpu.max": "400000 100000"}
    files |= {
        f"{smallest}memory.max": str(2 * GIB),
        f"{smallest}cpu.max": "25000 50000",
    }
    root = tree("0::/a/b\n", V2, **files)
    assert machine.memory(root) == 2 * GIB
    assert machine.cores(root) == 0.5
    assert machine.threads(root) == 1


def test_no_limit_is_no_limit(tree):
    files = {
        "a/memory.max": "max",
        "a/cpu.max": "max 100000",
        "a/memory.stat": "anon 5",
    }
    root = tree("0::/a\n", V2, **files)
    assert machine.memory(root) == 24 * GIB
    assert machine.cores(root) == 8


def test_the_first_version(tree):
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/a/memory.limit_in_bytes": str(3 * GIB),
        "memory/a/b/memory.limit_in_bytes": str(5 * GIB),
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/a/b/cpu.cfs_quota_us": "250000",
        "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000",
    }
    root = tree(OWN_V1, V1, **files)
    assert machine.memory(root) == 3 * GIB
    assert machine.cores(root) == 2.5
    assert machine.threads(root) == 3


def test_the_first_version_without_limits(tree):
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
    }
    root = tree(OWN_V1, V1, **files)
    assert machine.memory(root) == 24 * GIB
    assert machine.cores(root) == 8


def test_both_versions_at_once(tree):
    # Systemd's hybrid: memory in the first version, nothing but names in the second.
    mounts = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    files = {"memory/a/b/memory.limit_in_bytes": str(GIB)}
    root = tree(OWN_V1 + "0::/a/b\n", mounts, **files)
    assert machine.memory(root) == GIB


def test_docker_mounts_its_own_group_of_the_first_version(tree):
    """The path is that of the host; only what is below it is to be seen."""
    own = "4:memory:/docker/f00\n"
    mounts = V1.replace("0:32 / /", "0:32 /docker/f00 /")
    files = {
        "memory/memory.limit_in_bytes": str(GIB),
        "memory/memory.stat": f"cache 7\nhierarchical_memory_limit {GIB}\n",
    }
    root = tree(own, mounts, **files)
    assert machine.memory(root) == GIB


def test_a_limit_above_what_is_mounted_is_told_by_the_first_version(tree):
    mounts = V1.replace("0:32 / /", "0:32 /pod/f00 /")
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.stat": f"hierarchical_memory_limit {2 * GIB}\ntotal_rss 0",
    }
    root = tree("4:memory:/pod/f00\n", mounts, **files)
    assert machine.memory(root) == 2 * GIB


def test_a_process_beside_what_is_mounted_has_the_limit_of_the_mount(tree):
    root = tree("0::/../other\n", V2, **{"memory.max": str(GIB)})
    assert machine.memory(root) == GIB


def test_a_mount_whose_name_has_a_blank(tree):
    mounts = V2.replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups")
    root = tree("0::/a\n", mounts, **{"my groups/a/memory.max": str(GIB)})
    assert machine.memory(root) == GIB


def test_fewer_cores_by_affinity_than_by_time(tree, monkeypatch):
    root = tree("0::/\n", V2, **{"cpu.max": "400000 100000"})
    assert machine.cores(root) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 7})
    assert machine.cores(root) == 2


def test_a_limit_beyond_the_machine_gives_no_more(tree):
    files = {"memory.max": str(99 * GIB), "cpu.max": "9900000 100000"}
    root = tree("0::/\n", V2, **files)
    assert machine.memory(root) == 24 * GIB
    assert machine.cores(root) == 8


def test_a_system_that_tells_nothing(tmp_path, monkeypatch):
    """As Windows: no sysconf, no affinity, no /proc."""
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.memory(tmp_path) is None
    assert machine.cores(tmp_path) == machine.threads(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.threads(tmp_path) == 1
    assert machine.processor(tmp_path)


def test_here(monkeypatch):
    assert machine.memory() > 100 * 2**20
    assert 0 < machine.cores() <= len(os.sched_getaffinity(0))
    assert machine.processor()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\n"
            "model\t\t: 85\n"
            "model name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\n"
            "flags\t\t: fpu sse2 ssse3 fma sse4_2 avx f16c avx2 avx512f avx512vl rdt\n"
            "\nprocessor\t: 1\nmodel name\t: another\n",
            "Intel(R) Xeon(R) CPU @ 2.00GHz; cpu family 6, model 85; "
            "avx avx2 avx512f avx512vl fma sse4_2 ssse3; 8 cores",
        ),
        (
            "processor\t: 0\nFeatures\t: fp asimd sve sve2 aes\n"
            "CPU implementer\t: 0x41\nCPU part\t: 0xd40\n\n",
            "aarch64; CPU implementer 0x41, CPU part 0xd40; asimd sve sve2; 8 cores",
        ),
    ],
)
def test_a_processor_in_words(tmp_path, monkeypatch, text, wanted):
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), False)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(text)
    assert machine.processor(tmp_path) == wanted
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert machine.processor(tmp_path) == wanted.replace("8 cores", "1 core")
