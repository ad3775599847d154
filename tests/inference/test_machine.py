"""What a machine says of itself, from the files that Linux writes on x86-64 and on arm64."""

from segcore.inference import machine

X86 = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 25
model		: 17
model name	: AMD EPYC
stepping	: 1
flags		: fpu avx avx2 fma avx512f avx512_bf16 avx512_vnni avx512_vnni_other
bugs		: some

processor	: 1
model name	: another
"""
ARM = """processor	: 0
BogoMIPS	: 50.00
Features	: fp asimd asimddp i8mm
CPU part	: 0xd40
"""


def test_x86_tells_family_and_the_flags_that_matter(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    machine.CPUINFO.write_text(X86)
    found = machine.machine()
    assert found["processor"] == "AMD EPYC"
    assert found["family"] == "family 25 model 17 stepping 1"
    assert found["flags"] == "avx2 fma avx512f avx512_vnni avx512_bf16"


def test_arm_tells_its_features(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    machine.CPUINFO.write_text(ARM)
    assert machine.machine()["flags"] == "asimddp i8mm"
    machine.CPUINFO.write_text(ARM.replace("asimddp i8mm", ""))
    assert machine.machine()["flags"] == "none"


def test_a_system_without_that_file_is_unknown_and_not_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    found = machine.machine()
    assert found["flags"] == found["family"] == "unknown"
    assert all(isinstance(text, str) and text for text in found.values())
