"""XLA: what it refuses to compile, said in the words of a spec."""

from text_recognizer.errors import SpecError

_SIGNS = ("tf2xla conversion failed", "unsupported operations when trying to compile")
_REASONS = ("No registered", "deterministic", "not supported", "unsupported", "must be a compile-time constant")


def refused_by_xla(error: BaseException) -> SpecError | None:
    """The error for the user, if this one says that XLA cannot compile a training step."""
    said = str(error)
    if not any(sign in said for sign in _SIGNS):
        return None
    # The graph around the operation is before and after.
    lines = [line.strip() for line in said.splitlines()]
    reason = next((line for sign in _REASONS for line in lines if sign in line), "see the run's log.txt")[:300]
    way_out = "Leave train_args.jit_compile at false"
    if "determinis" in reason:
        way_out += ", or set train_args.deterministic to false"
    return SpecError(f"train_args.jit_compile: XLA cannot compile this training step: {reason} {way_out}.")
