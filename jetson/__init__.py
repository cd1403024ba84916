"""What this board is: `edgesr-jetson info`. The same from Python:

    from edgesr.jetson.info import read_machine
    print(read_machine().board.jetpack.value)

Everything is read from files; no CUDA context is made and no NVIDIA library is loaded.
"""
