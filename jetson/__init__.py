"""What this board is, whether it is set up right, and what it is doing: `edgesr-jetson`. The same from Python:

    from edgesr.jetson.info import read_machine           what this machine is
    from edgesr.jetson.doctor import examine, read_findings
    from edgesr.jetson.recorder import Recorder           its state beside a measurement
    from edgesr.jetson.power_control import power_mode    a power mode, set back afterwards

Facts are read from files; no CUDA context is made and no NVIDIA library is loaded.
"""
