"""Templates in variables: Jinja, evaluated when a variable is needed, in a sandbox.

As in Ansible, a template that is a single expression keeps the type of its value, and the
variables in it are evaluated in turn. Lookups are not run: they read files and the environment of
this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from remote_prof.errors import RemoteProfError
from remote_prof.inventory.filters import FILTERS, NotSupportedError
from remote_prof.inventory.frozen import EncryptedText, UnsafeText
from remote_prof.inventory.source import Variable

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_SCOPE = "\0scope"
_MISSING = object()
OMIT = object()
"""What ``default(omit)`` gives: the variable counts as not set."""


class EvaluationError(Exception):
    """A value is not known; its text says why, in half a sentence."""


def is_template(text: str) -> bool:
    """Whether Jinja has something to do in a text."""
    return any(sign in text for sign in ("{{", "{%", "{#"))


class Scope:
    """The variables of one host, each evaluated when it is asked for.

    ``magic`` are those that Ansible makes itself. ``decrypt`` opens a vault; its errors pass
    through.
    """

    def __init__(
        self,
        variables: Mapping[str, Variable],
        magic: Mapping[str, Any],
        decrypt: Callable[[str, str], str],
    ) -> None:
        self._variables = variables
        self._magic = magic
        self._decrypt = decrypt
        self._known: dict[str, Any] = {}
        self._open: list[str] = []
        self.opened = False
        """Whether anything that was encrypted went into a value."""

    def value(self, name: str, default: Any = _MISSING) -> Any:
        """Return a variable's value, evaluated.

        Raises EvaluationError, InventoryError, and KeyError where there is no such variable.
        """
        if name in self._known:
            return self._known[name]
        variable = self._variables.get(name)
        if variable is None or name in self._magic:
            found = self._magic.get(name, default)
            if found is _MISSING:
                raise KeyError(name)
            return found
        if name in self._open:
            ring = " > ".join([*self._open[self._open.index(name) :], name])
            raise EvaluationError(f"it refers to itself: {ring}")
        self._open.append(name)
        try:
            self._known[name] = self._evaluate(variable.value, variable)
        finally:
            self._open.pop()
        return self._known[name]

    def __contains__(self, name: str) -> bool:
        return name in self._variables or name in self._magic

    def _evaluate(self, value: Any, variable: Variable) -> Any:
        self.opened |= variable.secret or isinstance(value, EncryptedText)
        if isinstance(value, EncryptedText):
            value = self._decrypt(value, f"{variable.where}: {variable.name}")
        if isinstance(value, UnsafeText):
            return str(value)
        if isinstance(value, str):
            return self._render(value) if is_template(value) else value
        if isinstance(value, Mapping):
            return {key: self._evaluate(item, variable) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [self._evaluate(item, variable) for item in value]
        return value

    def _render(self, text: str) -> Any:
        from jinja2 import TemplateError, TemplateSyntaxError, Undefined

        try:
            template = _compiled(text)
            values = list(template.root_render_func(template.new_context({_SCOPE: self})))
            if any(isinstance(value, Undefined) for value in values):
                # Taking the text of what is undefined raises, and names it.
                "".join(map(str, values))
        except (EvaluationError, RemoteProfError):
            raise
        except TemplateSyntaxError as error:
            raise EvaluationError(f"its template is wrong: {error.message}") from None
        except TemplateError as error:
            raise EvaluationError(str(error.message)) from None
        except NotSupportedError as error:
            raise EvaluationError(str(error)) from None
        except Exception as error:  # noqa: BLE001  a template may divide by zero, and much else
            raise EvaluationError(f"its template fails: {type(error).__name__}") from None
        if len(values) == 1:
            return values[0]
        return "".join(map(str, values))


class HostVariables(Mapping[str, Any]):
    """One host's variables, as ``hostvars`` shows them to a template."""

    def __init__(self, scope: Scope, names: Callable[[], list[str]]) -> None:
        self._scope = scope
        self._names = names

    def __getitem__(self, name: str) -> Any:
        return self._scope.value(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


class AllHostVariables(Mapping[str, Any]):
    """``hostvars``: the variables of every host, by its name."""

    def __init__(self, find: Callable[[str], Mapping[str, Any]], names: Collection[str]) -> None:
        self._find = find
        self._names = names

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._find(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _lookup(*_: object, **__: object) -> None:
    raise NotSupportedError("lookups are not run by remote-prof")


def _now(*_: object, **__: object) -> None:
    raise NotSupportedError("now() is not known to remote-prof")


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Template:
    # The same template stands for thousands of hosts, and compiling it is what takes time.
    return _environment().from_string(text)


@cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.nativetypes import NativeCodeGenerator
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class LazyContext(Context):
        def resolve_or_missing(self, key: str) -> Any:
            scope = self.parent[_SCOPE]
            return scope.value(key) if key in scope else super().resolve_or_missing(key)

    class NativeSandbox(ImmutableSandboxedEnvironment):
        code_generator_class = NativeCodeGenerator
        context_class = LazyContext
        # A few characters of these make numbers and texts without end.
        intercepted_binops = frozenset({"**", "*"})

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
            del context
            numbers = isinstance(left, int | float) and isinstance(right, int | float)
            if operator == "*" and numbers:
                return left * right
            raise NotSupportedError(f"{operator!r} of these values is not evaluated by remote-prof")

    @pass_context
    def as_it_is(context: Context, value: Any) -> Any:
        # With a finalizer that wants the context, constants are not made text while compiling.
        del context
        return value

    environment = NativeSandbox(
        undefined=StrictUndefined,
        finalize=as_it_is,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        {"lookup": _lookup, "query": _lookup, "q": _lookup, "now": _now, "omit": OMIT}
    )
    return environment
