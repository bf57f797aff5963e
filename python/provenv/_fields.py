"""Objects that have certain attributes and no others, as those of ``azureml.core`` do."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from provenv.errors import UnknownAttributeError

_Self = TypeVar("_Self", bound="Fields")


class Fields:
    """Refuses attributes that its class does not declare: a misspelt one would be without effect."""

    __slots__ = ()

    @classmethod
    def _names(cls) -> list[str]:
        """The names of all attributes."""
        slots = (name for base in cls.__mro__ for name in getattr(base, "__slots__", ()) if not name.startswith("_"))
        properties = (name for name in dir(cls) if isinstance(getattr(cls, name, None), property))
        return sorted({*slots, *properties})

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            object.__setattr__(self, name, value)
        except AttributeError:
            raise self._unknown(name) from None

    def __getattr__(self, name: str) -> Any:
        # Asked for what is not there; Python's own questions are no misspelling.
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._unknown(name)

    def _unknown(self, name: str) -> UnknownAttributeError:
        import difflib

        names = self._names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(names)}"
        return UnknownAttributeError(f"`{type(self).__name__}` has no attribute `{name}`", hint=hint)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._names())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names())
        return f"{type(self).__name__}({parts})"

    def __deepcopy__(self: _Self, memo: dict[int, Any]) -> _Self:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        for base in type(self).__mro__:
            for name in getattr(base, "__slots__", ()):
                # As it is stored, without what setters do.
                stored = f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") else name
                object.__setattr__(new, stored, copy.deepcopy(object.__getattribute__(self, stored), memo))
        return new
