"""Files appear whole or not at all, under temporary names that nobody else has."""

import os
import stat
import threading

import pytest

from segcore._files import replacing, write_bytes


def test_parallel_writers_do_not_meet(tmp_path):
    """With one fixed temporary name the first to finish took the file away from the second."""
    path, barrier = tmp_path / "a.bin", threading.Barrier(8)
    contents = [bytes([n]) * 100_000 for n in range(8)]
    failed = []

    def work(content):
        try:
            with replacing(path) as file:
                barrier.wait()
                file.write(content)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert path.read_bytes() in contents and os.listdir(tmp_path) == ["a.bin"]


def test_somebodys_part_file_stays(tmp_path):
    (tmp_path / "a.bin.part").write_text("mine")
    write_bytes(tmp_path / "a.bin", b"new")
    assert (tmp_path / "a.bin.part").read_text() == "mine"


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path, error):
    write_bytes(tmp_path / "a.bin", b"old")

    def fail():
        with replacing(tmp_path / "a.bin") as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert (tmp_path / "a.bin").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_permissions_are_those_of_a_plain_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_bytes(tmp_path / "ours", b"")
    plain, ours = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours"))
    assert ours == plain


def test_an_error_names_the_file_and_keeps_its_cause(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lost.a\.bin") as caught:
        write_bytes(tmp_path / "lost" / "a.bin", b"")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_keeps_its_name(tmp_path, make):
    """A rename would take the name of /dev/null away from the machine."""
    make(tmp_path / "odd")
    with pytest.raises(FileExistsError, match="not a file"):
        write_bytes(tmp_path / "odd", b"")
    assert not (tmp_path / "odd").is_file()
