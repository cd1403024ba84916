"""Checks of the board itself: power, heat, memory, cameras, permissions."""

import re
from collections.abc import Sequence

from edgesr.jetson.doctor.check import Check, Verdict
from edgesr.jetson.doctor.findings import Findings
from edgesr.jetson.power import PowerMode

__all__ = [
    "argus",
    "cameras",
    "clocks",
    "disk",
    "encoder",
    "fan",
    "fastest_mode",
    "memory",
    "permissions",
    "power_mode",
    "throttling",
]

NO_JETSON = "this is no Jetson"

BOARD_BUILD_MIB, PC_BUILD_MIB = 1600, 2500
"""PyCUDA's compiler takes 1.6 GB (measured on a PC). An engine's build starts at 1450 MiB on a board, at 2500 on a PC, by
edgesr-export's estimate, which counts the network in and refuses what does not fit."""
LEAST_DISK_MIB, GOOD_DISK_MIB = 1024, 4096  # PyCUDA with its sources, ONNX Runtime, PyAV, a few engines; our estimate
HOT = 85.0  # °C; Orin begins to throttle at 99 (NVIDIA Jetson Linux Developer Guide, thermal specifications)
FAN_EXPECTED = 60.0  # °C at which JetPack's fan profiles let it turn


def fastest_mode(modes: Sequence[PowerMode]) -> PowerMode | None:
    """MAXN has no limit; else the most watts, then cores, by name (`25W`, `MODE_20W_6CORE`). None where no name tells."""
    unlimited = [mode for mode in modes if "MAXN" in mode.name.upper()]
    if unlimited:
        return max(unlimited, key=lambda mode: len(mode.name))  # MAXN_SUPER before MAXN
    rated = [mode for mode in modes if _by_name(mode, "W")]
    return max(rated, key=lambda mode: (_by_name(mode, "W"), _by_name(mode, "CORE")), default=None)


def _by_name(mode: PowerMode, unit: str) -> int:
    found = re.search(rf"(\d+){unit}", mode.name.upper())
    return int(found[1]) if found else 0


def power_mode(found: Findings) -> Check:
    name, power, host = "power mode", found.machine.power, found.machine.host
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, f"{NO_JETSON}: there is no nvpmodel")
    if power.mode.value is None or power.mode.problem:
        reason = power.mode.problem or "/etc/nvpmodel.conf and its status are not there"
        return Check(name, Verdict.WARN, reason, "sudo nvpmodel -q; in a container, run this outside of it")
    cores = ""
    if host.cores_online.value and host.cores_present.value and host.cores_online.value != host.cores_present.value:
        cores = f", {host.cores_online.value} of {host.cores_present.value} cores on"
    fastest = fastest_mode(power.modes)
    if fastest is not None and fastest.number != power.number:
        reason = f"{power.mode.value}{cores}; {fastest.name} is offered and faster"
        return Check(name, Verdict.WARN, reason, f"sudo nvpmodel -m {fastest.number}")
    return Check(name, Verdict.OK, f"{power.mode.value}{cores}")


def clocks(found: Findings) -> Check:
    name, here = "clocks", found.machine.power.clocks
    if not found.is_board:
        return Check(
            name, Verdict.NOT_HERE, f"{NO_JETSON}: a PC's clocks follow load and heat; edgesr-bench shows their course"
        )
    if not here:
        return Check(name, Verdict.WARN, "the kernel shows none", "outside of a container: sudo jetson_clocks --show")
    free = sorted({clock.domain for clock in here if not clock.is_locked})
    if free:
        reason = f"those of the {' and the '.join(free)} follow the load: measurements will scatter"
        return Check(name, Verdict.WARN, reason, "sudo jetson_clocks (until the next start; more power, more heat)")
    return Check(name, Verdict.OK, "locked")


def fan(found: Findings) -> Check:
    name, here = "fan and heat", found.fan
    heat = "" if found.hottest is None else f"{found.hottest:.0f} °C"
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, f"{NO_JETSON}: its firmware rules the fans")
    if here is not None and (here.pwm or 0) > 0 and here.rpm == 0:
        reason = f"set to {here.pwm} of 255, and it stands still"
        return Check(name, Verdict.FAIL, reason, "look at the fan's plug and blades")
    if here is not None and here.pwm == 0 and (found.hottest or 0) >= FAN_EXPECTED:
        fix = "sudo systemctl restart nvfancontrol; to cool now: sudo jetson_clocks --fan"
        return Check(name, Verdict.FAIL, f"the fan is set to 0 at {heat}", fix)
    if found.hottest is not None and found.hottest >= HOT:
        return Check(
            name, Verdict.WARN, f"{heat}: close to throttling", "cool it; a lower power mode (edgesr-jetson power)"
        )
    if here is None:
        return Check(name, Verdict.NOT_HERE, f"no fan that the kernel rules{heat and ', '}{heat}")
    turns = f", {here.rpm} turns a minute" if here.rpm is not None else ""
    return Check(
        name, Verdict.OK, f"fan at {here.pwm if here.pwm is not None else '?'} of 255{turns}{heat and ', '}{heat}"
    )


def throttling(found: Findings) -> Check:
    """Over-current events: the board lowers its clocks for a moment each time."""
    name, events = "throttling", found.throttle_events
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, NO_JETSON)
    if events is None:
        return Check(name, Verdict.NOT_HERE, "this board counts no over-current events")
    if events:
        fix = "a stronger power supply, or a lower power mode (edgesr-jetson power); edgesr-bench counts those of a run"
        return Check(name, Verdict.WARN, f"{events} over-current events since the start", fix)
    return Check(name, Verdict.OK, "no over-current event since the start")


def memory(found: Findings) -> Check:
    name, here, swap = "memory for a build", found.machine.host.memory, found.swap
    if not found.has_gpu:
        return Check(name, Verdict.NOT_HERE, "no engine is built where there is no NVIDIA GPU")
    if here.available_mib is None:
        return Check(name, Verdict.WARN, here.problem or "/proc/meminfo does not tell", "look at it: free -m")
    needed = BOARD_BUILD_MIB if found.is_board else PC_BUILD_MIB
    told = (
        f"{here.available_mib} MiB free and {swap.disk_mib} MiB of swap on a disk; a build takes {needed} MiB or more"
    )
    if swap.zram_mib:
        told += f" ({swap.zram_mib} MiB of zram are not counted: they take from the memory)"
    if here.available_mib >= needed:
        return Check(name, Verdict.OK, told)
    if here.available_mib + swap.disk_mib >= needed:
        return Check(name, Verdict.WARN, told, "sudo systemctl isolate multi-user.target (ends the desktop)")
    file = "/edgesr.swap"
    fix = f"sudo fallocate -l 4G {file} && sudo chmod 600 {file} && sudo mkswap {file} && sudo swapon {file}"
    return Check(name, Verdict.FAIL, told, fix)


def disk(found: Findings) -> Check:
    name, free = "disk", found.free_disk_mib
    if free is None:
        return Check(
            name, Verdict.NOT_HERE, "a recorded board does not show it" if found.recorded else "it cannot be told"
        )
    fix = "sudo apt clean; pip cache purge; look at what is large: sudo du -xh / --max-depth=2 | sort -h | tail"
    if free < LEAST_DISK_MIB:
        return Check(name, Verdict.FAIL, f"{free} MiB free here", fix)
    if free < GOOD_DISK_MIB:
        return Check(name, Verdict.WARN, f"{free} MiB free here; packages and engines take a few GiB", fix)
    return Check(name, Verdict.OK, f"{free // 1024} GiB free here")


def cameras(found: Findings) -> Check:
    name = "cameras"
    if found.cameras:
        return Check(name, Verdict.OK, ", ".join(f"{camera.node} ({camera.name})" for camera in found.cameras))
    hint = "; CSI: sudo /opt/nvidia/jetson-io/jetson-io.py names the sensor" if found.is_board else ""
    return Check(name, Verdict.NOT_HERE, f"none is seen in /dev/video*{hint}")


def argus(found: Findings) -> Check:
    name, daemon = "Argus, the CSI cameras' daemon", found.argus
    csi = [camera.node for camera in found.cameras if camera.is_csi]
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, NO_JETSON)
    if daemon.alive:
        return Check(name, Verdict.OK, "nvargus-daemon runs")
    if daemon.alive is None:
        return Check(name, Verdict.NOT_HERE, "a recorded board shows no processes")
    if not csi:
        return Check(
            name, Verdict.NOT_HERE, "nvargus-daemon does not run, and there is no CSI camera that would need it"
        )
    if not daemon.installed:
        return Check(name, Verdict.FAIL, f"not installed; {csi[0]} needs it", "sudo apt install nvidia-l4t-camera")
    fix = "sudo systemctl restart nvargus-daemon; its last words: journalctl -u nvargus-daemon -n 20"
    return Check(name, Verdict.FAIL, f"nvargus-daemon does not run: {csi[0]} gives no picture", fix)


def encoder(found: Findings) -> Check:
    name, module = "hardware encoder", found.machine.board.module
    if not found.is_board:
        return Check(name, Verdict.NOT_HERE, f"{NO_JETSON}: video is encoded by FFmpeg")
    if module is None:
        reason = "the module is unknown"
        return Check(name, Verdict.WARN, reason, "gst-inspect-1.0 nvv4l2h264enc, and try a short recording")
    if not module.encoder:
        reason = f"{module.name} has none: x264 takes CPU time for every frame"
        return Check(
            name, Verdict.WARN, reason, "nothing to install; keep outputs small, or send JPEG frames (http://:8080)"
        )
    return Check(name, Verdict.OK, f"{module.name} has one")


def permissions(found: Findings) -> Check:
    name, access = "permissions", found.access
    if access is None:
        return Check(name, Verdict.NOT_HERE, "a recorded board has no user")
    if access.closed:
        node, group = access.closed[0]
        groups = ",".join(dict.fromkeys(group for _, group in access.closed))
        more = f" and {len(access.closed) - 1} more" if len(access.closed) > 1 else ""
        reason = f"{access.user} may not open {node}{more} (group {group})"
        if groups == "root":
            return Check(name, Verdict.FAIL, reason, "run it as root, or add a udev rule that gives the node a group")
        return Check(name, Verdict.FAIL, reason, f"sudo usermod -aG {groups} {access.user}, then log out and in again")
    if access.missing:
        node = access.missing[0]
        reason = f"the kernel shows a camera at {node}, and /dev has no such node, as in a container"
        return Check(name, Verdict.FAIL, reason, f"start the container with --device {node}")
    if access.is_root:
        return Check(name, Verdict.OK, "root")
    if found.is_board and "video" not in access.groups:
        reason = f"{access.user} is not in the group video, to which cameras and the GPU belong"
        return Check(name, Verdict.WARN, reason, f"sudo usermod -aG video {access.user}, then log out and in again")
    return Check(name, Verdict.OK, f"{access.user} may open every camera and GPU node that is there")
