"""Which names of TensorRT a source uses, and which of them some version lacks.

The module is called `trt`; its objects are known by what makes them, or by their role: a parameter, or an attribute of `self`, called
`builder`, `network`, `config`, … A probe (`hasattr(x, "name")`, `getattr(x, "name", default)` compared with None) narrows the
versions that the code behind it must serve; a name is wrong where one of those versions lacks it.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.nvidia.surface import Surface

__all__ = ["MODULE", "ROLES", "Check", "Use", "check", "offered"]

MODULE = "tensorrt"
MODULE_NAMES = ("trt", "tensorrt")
LOADERS = ("load_tensorrt", "import_tensorrt")
ROLES = {
    "logger": "ILogger",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
    "cache": "ITimingCache",
    "profile": "IOptimizationProfile",
    "layer": "ILayer",
    "tensor": "ITensor",
}
RETURNS = {
    ("Builder", "create_network"): "INetworkDefinition",
    ("Builder", "create_builder_config"): "IBuilderConfig",
    ("Builder", "create_optimization_profile"): "IOptimizationProfile",
    ("Builder", "build_serialized_network"): "IHostMemory",
    ("IBuilderConfig", "create_timing_cache"): "ITimingCache",
    ("IBuilderConfig", "get_timing_cache"): "ITimingCache",
    ("ITimingCache", "serialize"): "IHostMemory",
    ("OnnxParser", "get_error"): "ParserError",
    ("INetworkDefinition", "get_layer"): "ILayer",
    ("INetworkDefinition", "get_input"): "ITensor",
    ("INetworkDefinition", "get_output"): "ITensor",
    ("ILayer", "get_input"): "ITensor",
    ("ILayer", "get_output"): "ITensor",
    ("Runtime", "deserialize_cuda_engine"): "ICudaEngine",
    ("ICudaEngine", "create_execution_context"): "IExecutionContext",
    ("ICudaEngine", "create_engine_inspector"): "EngineInspector",
    ("IExecutionContext", "engine"): "ICudaEngine",
}
ALIASES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}
ENDINGS = (ast.Return, ast.Raise, ast.Continue, ast.Break)

Versions = frozenset[str]
Offered = dict[str, dict[str, set[str]]]
"""Version -> owner (an enum, a class, or MODULE) -> its names."""


def offered(surfaces: Mapping[str, Surface], later: Mapping[str, Mapping[str, Iterable[str]]]) -> Offered:
    """later: by version the classes that the surfaces lack."""
    found: Offered = {}
    for version, surface in surfaces.items():
        owners = {**surface["enums"], **surface["classes"], **later[version]}
        module = {*owners, *surface["functions"], *(ALIASES.get(n, n.lower()) for n in surface["enums"]["DataType"])}
        found[version] = {owner: set(names) for owner, names in owners.items()} | {MODULE: module}
    return found


@dataclass(frozen=True)
class Use:
    """versions: that the code there must serve, as far as its probes tell. probe: it is only asked for."""

    owner: str
    name: str
    line: int
    versions: Versions
    probe: bool = False


@dataclass(frozen=True)
class Thing:
    """What an expression is: an object of `owner`, or the class, enum or module itself. probed: the versions where it is not None."""

    owner: str
    is_object: bool = False
    probed: "Versions | None" = None


@dataclass
class Check:
    uses: list[Use] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(source: str, offers: Offered) -> Check:
    """Every use of TensorRT in a source, and what is wrong with it. Nothing for a source that has nothing to do with it."""
    tree = ast.parse(source)
    found = Check()
    if not _uses_tensorrt(tree):
        return found
    walker = _Walker(offers, found)
    walker.block(tree.body, {}, frozenset(offers))
    for use in found.uses:
        has = {version for version in offers if use.name in offers[version].get(use.owner, ())}
        where = f"line {use.line}: {use.owner}.{use.name}"
        if not has:
            found.problems.append(f"{where} is in no version")
        elif not use.probe and (lacking := [version for version in offers if version in use.versions - has]):
            found.problems.append(f"{where} is not in {', '.join(lacking)}")
    return found


def _uses_tensorrt(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "tensorrt" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and any(alias.name in LOADERS for alias in node.names):
            return True
        if isinstance(node, ast.arg) and node.arg in MODULE_NAMES:
            return True
    return False


Names = dict[str, "Thing | None"]


class _Walker:
    def __init__(self, offers: Offered, found: Check) -> None:
        self.offers = offers
        self.found = found
        self.owners = {owner for names in offers.values() for owner in names}

    # statements

    def block(self, statements: list[ast.stmt], names: Names, versions: Versions) -> None:
        for statement in statements:
            if isinstance(statement, ast.If):
                self.expression(statement.test, names, versions)
                yes, no = self.narrow(statement.test, names, versions)
                self.block(statement.body, names, yes)
                self.block(statement.orelse, names, no)
                if isinstance(statement.body[-1], ENDINGS):
                    versions = no
                elif statement.orelse and isinstance(statement.orelse[-1], ENDINGS):
                    versions = yes
            else:
                self.statement(statement, names, versions)

    def statement(self, node: ast.stmt, names: Names, versions: Versions) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.block(node.body, names | _parameters(node.args), versions)
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                self.expression(base, names, versions)
                thing = self.what(base, names)
                if thing is not None and not thing.is_object:
                    for part in node.body:
                        if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                            self.use(thing.owner, part.name, part.lineno, versions)
            self.block(node.body, dict(names), versions)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None:
                self.expression(node.value, names, versions)
            for target in targets:
                self.expression(target, names, versions)
                self.bind(target, node.value, names)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self.expression(node.iter, names, versions)
            self.forget(node.target, names)
            self.block(node.body, names, versions)
            self.block(node.orelse, names, versions)
        elif isinstance(node, ast.While):
            self.expression(node.test, names, versions)
            self.block(node.body, names, self.narrow(node.test, names, versions)[0])
            self.block(node.orelse, names, versions)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                self.expression(item.context_expr, names, versions)
                if item.optional_vars is not None:
                    self.bind(item.optional_vars, item.context_expr, names)
            self.block(node.body, names, versions)
        elif isinstance(node, ast.Try):
            for block in (node.body, node.orelse, node.finalbody):
                self.block(block, names, versions)
            for handler in node.handlers:
                self.block(handler.body, names | ({handler.name: None} if handler.name else {}), versions)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.expression(child, names, versions)

    def bind(self, target: ast.expr, value: "ast.expr | None", names: Names) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for part, of in zip(target.elts, value.elts, strict=True):
                self.bind(part, of, names)
        elif isinstance(target, ast.Name) and value is not None:
            thing = self.what(value, names)
            if thing is None and isinstance(value, ast.Call) and target.id in ROLES:
                thing = Thing(ROLES[target.id], is_object=True)
            names[target.id] = thing
        else:
            self.forget(target, names)

    def forget(self, target: ast.expr, names: Names) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                names[node.id] = None

    # expressions

    def expression(self, node: ast.expr, names: Names, versions: Versions) -> None:
        if isinstance(node, ast.IfExp):
            self.expression(node.test, names, versions)
            yes, no = self.narrow(node.test, names, versions)
            self.expression(node.body, names, yes)
            self.expression(node.orelse, names, no)
            return
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self.expression(value, names, versions)
                yes, no = self.narrow(value, names, versions)
                versions = yes if isinstance(node.op, ast.And) else no
            return
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            inner = dict(names)
            for generator in node.generators:
                self.expression(generator.iter, inner, versions)
                self.forget(generator.target, inner)
                for test in generator.ifs:
                    self.expression(test, inner, versions)
                    versions = self.narrow(test, inner, versions)[0]
            for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                self.expression(part, inner, versions)
            return
        if isinstance(node, ast.Lambda):
            self.expression(node.body, names | _parameters(node.args), versions)
            return
        if (asked := _probe(node)) is not None:
            self.probe(node, *asked, names, versions)
        elif isinstance(node, ast.Attribute):
            owner = self.what(node.value, names)
            if owner is not None:
                self.use(owner.owner, node.attr, node.lineno, versions)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child, names, versions)
            elif isinstance(child, ast.keyword):
                self.expression(child.value, names, versions)

    def use(self, owner: str, name: str, line: int, versions: Versions, *, probe: bool = False) -> None:
        if not name.startswith("__") and versions:
            self.found.uses.append(Use(owner, name, line, versions, probe))

    def probe(
        self, node: ast.expr, asked: ast.expr, name: "str | None", safe: bool, names: Names, versions: Versions
    ) -> None:
        owner = self.what(asked, names)
        if owner is None:
            return
        if name is not None:
            self.use(owner.owner, name, node.lineno, versions, probe=safe)
        elif not safe:
            self.found.problems.append(f"line {node.lineno}: a name of {owner.owner} is looked up without a default")

    def what(self, node: ast.expr, names: Names) -> "Thing | None":
        """None for what has nothing to do with TensorRT."""
        if isinstance(node, ast.Name):
            if node.id in names:
                return names[node.id]
            return Thing(MODULE) if node.id in MODULE_NAMES else None
        if isinstance(node, ast.NamedExpr):
            return self.what(node.value, names)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                role = ROLES.get(node.attr.lstrip("_"))
                return Thing(role, is_object=True) if role else None
            return self.member(self.what(node.value, names), node.attr)
        if isinstance(node, ast.Call):
            if (asked := _probe(node)) is not None and asked[1] is not None:
                found = self.member(self.what(asked[0], names), asked[1])
                owner = self.what(asked[0], names)
                if owner is None:
                    return None
                has = frozenset(v for v in self.offers if asked[1] in self.offers[v].get(owner.owner, ()))
                return Thing(found.owner if found else "", found.is_object if found else True, has)
            return self.made(node, names)
        return None

    def member(self, owner: "Thing | None", name: str) -> "Thing | None":
        if owner is None:
            return None
        if owner.owner == MODULE:
            return Thing(name) if name in self.owners else None
        returned = RETURNS.get((owner.owner, name))
        return Thing(returned, is_object=True) if returned else None

    def made(self, node: ast.Call, names: Names) -> "Thing | None":
        """By a constructor, by a method, or by a factory that is handed on: `made("engine", lambda: …)`, `made("config", builder.create)`."""
        function = node.func
        if isinstance(function, ast.Name) and function.id in LOADERS:
            return Thing(MODULE)
        thing = self.what(function, names)
        if thing is not None:
            return Thing(thing.owner, is_object=True)
        for argument in node.args:
            handed = self.what(argument.body if isinstance(argument, ast.Lambda) else argument, names)
            by_name = isinstance(argument, ast.Attribute) and handed is not None
            if isinstance(argument, ast.Lambda) or by_name:
                return handed
        return None

    # probes

    def narrow(self, test: ast.expr, names: Names, versions: Versions) -> tuple[Versions, Versions]:
        """The versions for which the test can be true, and those for which it can be false."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yes, no = self.narrow(test.operand, names, versions)
            return no, yes
        if isinstance(test, ast.BoolOp):
            ended: Versions = frozenset()
            for value in test.values:
                yes, no = self.narrow(value, names, versions)
                versions, other = (yes, no) if isinstance(test.op, ast.And) else (no, yes)
                ended |= other
            return (versions, ended) if isinstance(test.op, ast.And) else (ended, versions)
        asked = _probe(test)
        if asked is not None and isinstance(test, ast.Call) and _called(test) == "hasattr":
            owner = self.what(asked[0], names)
            if owner is not None:
                has = frozenset(v for v in self.offers if asked[1] in self.offers[v].get(owner.owner, ()))
                return versions & has, versions - has
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and _is_none(test.comparators[0]):
            thing = self.what(test.left, names)
            if thing is not None and thing.probed is not None:
                there, gone = versions & thing.probed, versions - thing.probed
                return (gone, there) if isinstance(test.ops[0], ast.Is | ast.Eq) else (there, gone)
        return versions, versions


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _probe(node: ast.expr) -> "tuple[ast.expr, str | None, bool] | None":
    """What hasattr or getattr asks: of what, for which name (None: worked out as it runs), and whether a lack does no harm."""
    if not isinstance(node, ast.Call) or _called(node) not in ("hasattr", "getattr") or len(node.args) < 2:
        return None
    name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
    return node.args[0], name, _called(node) == "hasattr" or len(node.args) == 3


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _parameters(arguments: ast.arguments) -> Names:
    return {argument.arg: _parameter(argument) for argument in _all(arguments)}


def _all(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)


def _parameter(argument: ast.arg) -> "Thing | None":
    """A role that is annotated as something of ours is none."""
    if argument.arg in MODULE_NAMES:
        return Thing(MODULE)
    free = argument.annotation is None or (
        isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Any"
    )
    role = ROLES.get(argument.arg.lstrip("_")) if free else None
    return Thing(role, is_object=True) if role else None
