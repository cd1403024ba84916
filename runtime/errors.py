"""Every error that edgesr raises on purpose.

    EdgeSRError
    ├── InputError            what was given cannot be used; nothing was started          exit code 2
    │   ├── MissingFile           the path does not exist
    │   ├── UnreadableImage       the file is no image, or a damaged one
    │   ├── UnreadableVideo       the file is no video, a damaged one, or one of a kind that is refused by name
    │   ├── ForeignModel          an ONNX file without our metadata, or with another graph than its metadata says
    │   ├── CheckpointMismatch    keys missing, surplus or of the wrong shape
    │   ├── UnsafeCheckpoint      a pickle that holds more than plain tensors
    │   ├── FrameTooLarge         would not fit into memory; refused before it is tried
    │   ├── OutputExists          the output is there already and --force was not given
    │   ├── MissingDependency     an optional package is not installed
    │   ├── NoDevice              no NVIDIA driver, or no GPU that it can use
    │   ├── EngineRefused         plan, card and this machine do not belong together
    │   ├── UntrustedEngine       the card is unsigned, or signed by another key
    │   ├── BuildTooLarge         an engine's build would not fit into memory; refused before it is tried
    │   └── QualityLost           INT8 costs more than its budget; nothing is written
    └── RunError              something gave way underway                                 exit code 1
        ├── OutputFailed          disk full, not writable, encoder failed
        ├── SourceFailed          the stream broke off
        ├── BackendFailed         inference failed
        ├── BuildFailed           TensorRT built no engine
        ├── PrecisionNotMet       an engine computes too little in the precision that was asked for
        └── ParityFailed          a converted model does not equal what it was made from

A message says what was given, what was expected and what to do, in one line.
"""


class EdgeSRError(Exception):
    """Base of all. `exit_code` is what a command line ends with."""

    exit_code = 1


class InputError(EdgeSRError):
    exit_code = 2


class MissingFile(InputError):
    pass


class UnreadableImage(InputError):
    pass


class UnreadableVideo(InputError):
    pass


class ForeignModel(InputError):
    pass


class CheckpointMismatch(InputError):
    pass


class UnsafeCheckpoint(InputError):
    pass


class FrameTooLarge(InputError):
    pass


class OutputExists(InputError):
    pass


class MissingDependency(InputError):
    pass


class NoDevice(InputError):
    pass


class EngineRefused(InputError):
    pass


class UntrustedEngine(InputError):
    pass


class BuildTooLarge(InputError):
    pass


class QualityLost(InputError):
    pass


class RunError(EdgeSRError):
    exit_code = 1


class OutputFailed(RunError):
    pass


class SourceFailed(RunError):
    pass


class BackendFailed(RunError):
    pass


class BuildFailed(RunError):
    pass


class PrecisionNotMet(RunError):
    pass


class ParityFailed(RunError):
    pass
