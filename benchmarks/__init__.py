"""How fast and how good: `edgesr-bench latency A.onnx B.onnx --size 320x180`. The same from Python:

    from edgesr.benchmarks.latency import LatencySettings, measure_latency
    from edgesr.benchmarks.report import latency_table
    result = measure_latency(LatencySettings(models=("ecbsr_x4.cpu.onnx", "bicubic"), width=320, height=180))
    rich.print(latency_table(result))

Nothing here imports torch: a board measures what it runs.
"""
