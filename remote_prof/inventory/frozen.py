"""Read-only values of variables, which hosts can share and take along to other processes."""

from __future__ import annotations

from typing import Any, NoReturn


class FrozenDict(dict[str, Any]):
    """A ``dict`` that refuses every change; it pickles, and ``json`` and Jinja take it as it is.

    ``types.MappingProxyType`` would do, if only it could be pickled.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (dict(self),)

    # A dict has None there: it can change, this cannot.
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("an inventory's variables do not change once they are loaded")

    __setitem__ = _refuse
    __delitem__ = _refuse
    __ior__ = _refuse
    clear = _refuse
    pop = _refuse
    popitem = _refuse
    setdefault = _refuse
    update = _refuse


class UnsafeText(str):
    """Text that YAML tags ``!unsafe``: braces in it are meant as they stand."""

    __slots__ = ()


class EncryptedText(str):
    """The cipher text of a ``!vault`` value, which is never decrypted here."""

    __slots__ = ()


def freeze(value: Any) -> Any:
    """Turn what YAML builds into read-only values: mappings, tuples and frozen sets."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    if isinstance(value, set):
        return frozenset(value)
    return value
