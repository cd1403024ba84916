"""Files as the kernel lays them out: the INA3221's and the over-current chip's names are those of an Orin Nano on L4T 36
(public project notes), the load file's those of NVIDIA's kernels as rbonghi/jetson_stats issue 360 lists them."""

from collections.abc import Callable

__all__ = ["MEMINFO", "write_orin"]

MEMINFO = "MemTotal: 7802880 kB\nMemFree: 1 kB\nMemAvailable: 5242880 kB\nSwapTotal: 3901440 kB\nSwapFree: 2390016 kB\n"


def write_orin(write: Callable[[str, str], object]) -> None:
    write("/proc/meminfo", MEMINFO)
    write("/proc/stat", "cpu  9 9 9 9\ncpu0 100 0 50 800 50 0 0 0 0 0\ncpu1 0 0 0 1000 0 0 0 0 0 0\nintr 5\n")
    write("/sys/class/devfreq/17000000.gpu/cur_freq", "305250000\n")
    write("/sys/class/devfreq/17000000.gpu/device/load", "437\n")
    write("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "729600\n")
    write("/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "1510400\n")
    for number, (kind, degrees) in enumerate((("cpu-thermal", "48000"), ("gpu-thermal", "47718"), ("cv0-thermal", ""))):
        write(f"/sys/class/thermal/thermal_zone{number}/type", kind)
        write(f"/sys/class/thermal/thermal_zone{number}/temp", degrees)
    chip = "/sys/class/hwmon/hwmon1"
    write(f"{chip}/name", "ina3221\n")
    for channel, label, volts, amperes in ((1, "VDD_IN", 5000, 966), (2, "VDD_CPU_GPU_CV", 5000, 120), (3, "NC", 0, 0)):
        write(f"{chip}/in{channel}_label", label)
        write(f"{chip}/in{channel}_input", str(volts))
        write(f"{chip}/curr{channel}_input", str(amperes))
    write(f"{chip}/in7_label", "sum of shunt voltages")
    write("/sys/class/hwmon/hwmon3/name", "soctherm_oc")
    for event, count in ((1, 0), (2, 15), (3, 37)):
        write(f"/sys/class/hwmon/hwmon3/oc{event}_event_cnt", str(count))
    write("/sys/class/hwmon/hwmon0/name", "pwmfan")
    write("/sys/class/hwmon/hwmon0/pwm1", "62")
