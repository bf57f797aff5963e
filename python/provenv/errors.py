"""What can go wrong, as exceptions: all of them are a :class:`ProvenvError`.

Each says what was being done, to what and why it failed; ``hint`` says what to do next, and ``code`` what kind of
problem it is, for programs. Codes are those of the HTTP API, and never change their meaning.
"""

from __future__ import annotations

from typing import Any, Optional


class ProvenvError(Exception):
    """Anything that Provenv cannot do.

    Attributes:
        message: what was being done, to what, and why it failed.
        code: what kind of problem it is, such as ``environment-not-found``.
        hint: what to do next, if there is something.
        causes: why it failed, the nearest cause first.
        remarks: what is to be said of the file or object, each with ``code``, ``severity``, ``message``, ``hint``.
        places: where in the user's files it comes from, each with ``file``, ``line``, ``column``, ``line_text``.
    """

    code: str = "internal"

    def __init__(
        self,
        message: str = "",
        *,
        code: Optional[str] = None,
        hint: Optional[str] = None,
        causes: tuple[str, ...] = (),
        remarks: tuple[dict[str, Any], ...] = (),
        places: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint
        self.causes = tuple(causes)
        self.remarks = tuple(remarks)
        self.places = tuple(places)

    @classmethod
    def _of_native(
        cls, message: str, *, code: str, hint: Optional[str], causes: list[str], remarks: str, places: str
    ) -> ProvenvError:
        import json

        return cls(
            message,
            code=code,
            hint=hint,
            causes=tuple(causes),
            remarks=tuple(json.loads(remarks)),
            places=tuple(json.loads(places)),
        )

    def __str__(self) -> str:
        lines = [self.message]
        for place in self.places:
            lines.append(f"  --> {place['file']}:{place['line']}:{place['column']}")
        for remark in self.remarks:
            if remark["severity"] == "error" and remark["message"] not in self.message:
                lines.append(f"  {remark['code']}: {remark['message']}")
        lines += [f"  because: {cause}" for cause in self.causes]
        hints = [self.hint] if self.hint else []
        hints += [remark["hint"] for remark in self.remarks if remark["severity"] == "error" and remark["hint"]]
        lines += [f"hint: {hint}" for hint in dict.fromkeys(hints)]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # With all that it knows, into other processes.
        return (_again, (type(self), self.message, {key: value for key, value in vars(self).items() if key != "message"}))


def _again(cls: type[ProvenvError], message: str, details: dict[str, Any]) -> ProvenvError:
    error = cls(message)
    vars(error).update(details)
    return error


class ArgumentError(ProvenvError, ValueError):
    """What was asked for makes no sense: arguments that exclude each other, a name that is none."""

    code = "argument-invalid"


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of another type than it should be."""


class UnknownAttributeError(ProvenvError, AttributeError):
    """An object has no such attribute: most often it is misspelt."""

    code = "attribute-unknown"


class DefinitionError(ProvenvError):
    """A definition cannot be used; ``remarks`` has all that is wrong with it."""

    code = "definition-invalid"


class ResolutionError(ProvenvError):
    """What a definition asks for cannot be had together, or not be fetched."""

    code = "cannot-be-resolved"


class LockError(ProvenvError):
    """A lock that cannot be used."""

    code = "lock-not-usable"


class BuildError(ProvenvError):
    """An image could not be made."""

    code = "image-not-made"


class ExportError(ProvenvError):
    """An environment or lock cannot be written in a format."""

    code = "cannot-be-written"


class RunError(ProvenvError):
    """A command could not be started, or a run did not end well."""

    code = "cannot-be-run"


class NotFoundError(ProvenvError, LookupError):
    """There is no such environment, version, label, run, build or image."""

    code = "nothing-found"


class ConflictError(ProvenvError):
    """It is there already and otherwise, or something refers to it."""

    code = "conflict"


class ProofError(ProvenvError):
    """A key, a signature or a policy that cannot be used."""

    code = "proof"


class WorkspaceError(ProvenvError):
    """The workspace, its settings or its files cannot be used."""

    code = "workspace"


class AccessError(ProvenvError):
    """A server does not let you: nobody logged in, or a role does not suffice."""

    code = "token-missing"


class ServerError(ProvenvError):
    """A server cannot be reached, or failed."""

    code = "unreachable"


#: As ``azureml.exceptions`` calls it.
UserErrorException = ArgumentError
