"""The configuration as everything else sees it: the file, what `cms set` remembers, and the environment, in layers."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.config import cache, clouds, files, native
from cloudms.config.clouds import CloudSettings
from cloudms.config.counter import name_file
from cloudms.config.finding import Finding
from cloudms.config.known import KINDS
from cloudms.config.secret import UNSET, Secret
from cloudms.config.settings import BUILT_IN, PER_CLOUD, SHORT, Settings, Value, environment_name
from cloudms.config.substitute import Substitution
from cloudms.config.tree import Path as Keys
from cloudms.config.tree import Tree, at, elsewhere, hydrate, is_clear, is_unset, locate
from cloudms.errors import ConfigError, Invalid, NotFound
from cloudms.names import nearest

FILES = ("cloudmesh.yaml", "cloudmesh4.yaml")
ALIASES = {"newawsvm": "aws vm"}
BASE_NAMES = {"newawsvm": "test_cloudmesh00"}
_KEY = r"[^\s.]+(\.[^\s.]+)*"


class Config:
    """What a person has configured: built-in values, below the ancestors' file, below `cms set`, below CLOUDMS_….

    Nothing is read before it is asked for, and the file's secrets not before one is revealed.
    Parameters: `path`, the file, instead of $CLOUDMESH_CONFIG, ~/.cloudmesh/cloudmesh.yaml or cloudmesh4.yaml;
    `kinds`, the kinds of clouds that can be opened; `environ`, the variables; `clock`, to wait for other writers by.
    Every method that reads raises ConfigError (file and line) when the file cannot be read.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        kinds: Collection[str] = KINDS,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self.kinds = tuple(kinds)
        self._clock = clock or SystemClock()
        self._chosen = path or self.environ.get("CLOUDMESH_CONFIG")
        self.settings = Settings(paths.home() / "settings.json", self._clock)
        self._forget()

    def _forget(self) -> None:
        self._parsed: cache.Parsed | None = None
        self._secrets: Substitution | None = None
        self._root_tree: Tree | None = None
        self._clouds: dict[str, CloudSettings] | None = None
        self._set: dict[str, Value] | None = None
        self._set_stamp: files.Stamp | None = None
        self._parsed_path: Path | None = None
        self._natives: native.Natives | None = None

    @property
    def path(self) -> Path | None:
        """Return the file that is read, or None when there is none."""
        if self._chosen:
            return Path(self._chosen).expanduser()
        found = (paths.home() / name for name in FILES)
        return next((file for file in found if os.path.lexists(file)), None)

    @property
    def data(self) -> Tree:
        """Return the whole file with references replaced and secrets masked; `data["cloudmesh"]` is its content."""
        root = self._root()
        if "cloudmesh" not in root:
            root = Tree(cloudmesh=clouds.content(root))
        replaced: Tree = self._substitution().value(root)
        return replaced

    @property
    def outdated(self) -> bool:
        """Whether a file has changed since it was read; what was not read cannot be. Raises nothing."""
        if self._set is not None and files.stamp(self.settings.path) != self._set_stamp:
            return True
        if self._natives is not None and self._natives.outdated:
            return True
        if self._parsed is None:
            return False
        stamps = self._parsed.files
        return self.path != self._parsed_path or any(
            list(files.stamp(Path(name)) or ()) != stamp for name, *stamp in stamps
        )

    def __getitem__(self, key: str) -> Any:
        """Return the value of a dotted key of the file, with or without `cloudmesh.` before it. Raises: KeyError."""
        data = self.data
        return data[key] if key in data else data["cloudmesh"][key]

    def _parse(self) -> cache.Parsed:
        if self._parsed is None:
            path = self._parsed_path = self.path
            self._parsed = cache.load(path, self._clock) if path else cache.Parsed(tree={}, warnings=[], files=[])
        return self._parsed

    def _root(self) -> Tree:
        if self._root_tree is None:
            root: Tree = hydrate(self._parse().tree, self._secret)
            self._root_tree = root
        return self._root_tree

    def _part(self, names: Collection[str]) -> Tree:
        """Return the file with these sections of its content only, which saves looking at all the others."""
        raw = self._parse().tree
        top: Keys = ("cloudmesh",) if isinstance(raw.get("cloudmesh"), dict) else ()
        part = {name: value for name, value in clouds.content(raw).items() if name in names}
        return Tree(cloudmesh=hydrate(part, self._secret, top))

    def _substitution(self) -> Substitution:
        return Substitution(self._root, self.environ)

    def _secret(self, keys: Keys) -> object:
        """Read the value of one secret from the file itself."""
        if self._secrets is None:
            from cloudms.config import reader

            path = self.path
            tree = reader.load(path).tree if path else {}
            self._secrets = Substitution(lambda: tree, self.environ)
        value = self._secrets.secret(keys)
        if value is None:
            raise ConfigError(
                f"{'.'.join(keys)} has gone from the configuration file",
                hint="it changed meanwhile: run the command again",
            )
        return value

    @property
    def warnings(self) -> list[Finding]:
        """Return what is odd but harmless: keys nobody knows, with the nearest known one, file and line."""
        return list(self._parse().warnings)

    # Layers

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a dotted key from the topmost layer that sets it, else `default`."""
        value, _ = self._layered(key)
        return default if value is None else value

    def source(self, key: str) -> str:
        """Return where the value of `key` comes from: a variable, `cms set`, the file, built in, or empty."""
        return self._layered(key)[1]

    def flag(self, key: str, default: bool = False) -> bool:
        """Return whether `key` is true, yes, on or 1."""
        return clouds.truth(self.get(key), default)

    def key_for(self, word: str, cloud: str | None = None) -> str:
        """Return the full key of what a person calls `word`: cloud is default.cloud, image the default of a cloud."""
        word = word.removeprefix("cloudmesh.")
        if word in PER_CLOUD:
            return f"cloud.{cloud or self.default_cloud()}.default.{word}"
        return SHORT.get(word, word)

    def _layered(self, key: str) -> tuple[Any, str]:
        key = key.removeprefix("cloudmesh.")
        key = SHORT.get(key, key)
        variable = environment_name(key)
        if value := self.environ.get(variable):
            return value, variable
        if key in self._remembered():
            return self._remembered()[key], "cms set"
        value = self._in_file(key)
        if not is_unset(value):
            return value, str(self.path)
        return (BUILT_IN[key], "built in") if key in BUILT_IN else (None, "")

    def _remembered(self) -> dict[str, Value]:
        if self._set is None:
            self._set_stamp = files.stamp(self.settings.path)
            self._set = self.settings.values()
        return self._set

    def _in_file(self, key: str) -> Any:
        section, _, rest = key.partition(".")
        name, found, word = rest.rpartition(".default.")
        if section == "cloud" and found and name in self.by_name():
            return self.by_name()[name].default.get(word)
        content = dict(clouds.content(self._root()))
        for older in (section, *clouds.SECTIONS) if section == "cloud" else (section,):
            keys = locate(content, key if older == section else f"{older}.{rest}")
            if keys is not None:
                return self._substitution().value(at(content, keys))
        return self._shared(rest) if section == "cloud" else None

    def _shared(self, rest: str) -> Any:
        """Return what a cloud has from the one that it is like."""
        whole = clouds.completed({name: entry for _, name, entry in clouds.entries(self._root())})
        keys = locate(whole, rest)
        return None if keys is None else self._substitution().value(at(whole, keys))

    def put(self, key: str, value: Value) -> None:
        """Remember a setting, as `cms set KEY=VALUE` does. Raises: Invalid, Conflict, Denied."""
        self.settings.change({self.key_for(key): value})
        self._forget()

    def drop(self, key: str) -> None:
        """Forget a remembered setting. Raises: Invalid, Conflict, Denied."""
        self.settings.change({self.key_for(key): None})
        self._forget()

    # Clouds

    def clouds(self) -> list[CloudSettings]:
        """Return every cloud: those of the file in its order, then the built-in `local`."""
        return list(self.by_name().values())

    def cloud(self, name: str | None = None) -> CloudSettings:
        """Return the cloud called `name`, or the default one. Raises: NotFound, naming the nearest."""
        name = name or self.default_cloud()
        found = self.by_name()
        if name in found:
            return found[name]
        if name in clouds.ON_REQUEST:
            return self._overlaid(CloudSettings(name=name, kind=clouds.ON_REQUEST[name], label=name))
        others = self.natives()
        if name in others.clouds:
            return self._overlaid(others.clouds[name])
        known = [*found, *others.clouds]
        close = nearest(name, known)
        hint = (f"did you mean {close}? " if close else "") + f"clouds: {', '.join(known)}"
        raise NotFound(f"no cloud is called {name!r}", hint=f"{hint}; {others.problem}" if others.problem else hint)

    def natives(self) -> native.Natives:
        """Return the clouds that the person's own tools know (clouds.yaml) and the file does not, read when asked for.

        They can be named wherever clouds can, and stand in no list until a VM is there.
        """
        if self._natives is None:
            self._natives = native.read(self.environ, self.kinds, self.by_name())
        return self._natives

    def default_cloud(self) -> str:
        """Return the name of the default cloud: the variable's, that of `cms set`, the file's if usable, else local."""
        wanted, source = self._layered("default.cloud")
        if source == str(self.path) and not self._usable(wanted):
            return str(BUILT_IN["default.cloud"])
        return str(wanted)

    def _usable(self, name: object) -> bool:
        known = self.by_name()
        return known[name].active if isinstance(name, str) and name in known else name in self.natives().clouds

    def by_name(self) -> dict[str, CloudSettings]:
        """Return every cloud by its name."""
        if self._clouds is None:
            root = self._substitution().value(self._part(clouds.PARTS))
            self._clouds = {name: self._overlaid(c) for name, c in clouds.read(root, self.kinds, self.environ).items()}
        return self._clouds

    def _overlaid(self, cloud: CloudSettings) -> CloudSettings:
        """Return `cloud` with the defaults that `cms set` and the environment give it."""
        prefix = f"cloud.{cloud.name}.default."
        above: dict[str, Any] = {}
        for key, value in self._remembered().items():
            if key.startswith(prefix):
                above |= clouds.aliased({key.removeprefix(prefix): value})
        for word in PER_CLOUD if any(variable.startswith("CLOUDMS_CLOUD_") for variable in self.environ) else ():
            above |= clouds.aliased({word: self.environ.get(environment_name(prefix + word))})
        return cloud.with_(default={**cloud.default, **above}) if above else cloud

    # Names and words

    def aliases(self) -> dict[str, str]:
        """Return the command that every alias stands for: built in, under `cloudmesh.alias`, and `cms set alias.X=`."""
        section = clouds.content(self._root()).get("alias")
        own = dict(section) if isinstance(section, dict) else {}
        own |= {key[6:]: value for key, value in self._remembered().items() if key.startswith("alias.")}
        return ALIASES | {name: text for name, text in own.items() if isinstance(text, str) and not is_unset(text)}

    def base_name(self, alias: str) -> str:
        """Return the VM name an alias begins with when none is given, or empty: newawsvm has test_cloudmesh00."""
        return BASE_NAMES.get(alias, "")

    def naming(self, cloud: str = "") -> tuple[str, dict[str, str]]:
        """Return the pattern of VM names and the values for it, all but the counter.

        The pattern is `name.schema` of any layer, else that of the ancestors' name.yaml, else the built-in one.
        """
        legacy = name_file(paths.home())
        pattern, source = self._layered("name.schema")
        if source == "built in":
            pattern = legacy.get("schema") or pattern
        user = self.get("profile.user") or self.get("profile.username") or self.environ.get("USER") or "user"
        values = {
            "user": re.sub(r"[^A-Za-z0-9_.-]+", "-", str(user)),
            "kind": legacy.get("kind") or "vm",
            "cloud": cloud or self.default_cloud(),
            "group": str(self.get("default.group", "cloudmesh")),
            "experiment": str(self.get("default.experiment", "base")),
        }
        return str(pattern), values

    # The file

    def set(self, key: str, value: str | int | float | bool | list[Any] | None) -> list[Finding]:
        """Write `value` under the dotted `key` into the file, changing nothing else in it; returns warnings.

        The file is made (mode 0600) where there is none, and is never half written, whatever kills the process.
        Raises: Invalid, ConfigError, Conflict, Denied.
        """
        return self.change({key: value})

    def change(self, values: Mapping[str, str | int | float | bool | list[Any] | None]) -> list[Finding]:
        """Write several values into the file as `set` does, all of them or none; returns warnings."""
        from cloudms.config import edit

        path = self.path or paths.home() / FILES[0]
        written: list[tuple[Keys, object]] = []
        with files.Lock(path, self._clock):
            text = files.read(path)[0] if path.exists() else ""
            for key, value in values.items():
                text, keys = edit.change(text, path, _checked(key), value)
                written.append((keys, value))
            files.write(path, text)
        self._forget()
        return [finding for keys, value in written for finding in self._warned(path, keys, value)]

    def remove(self, key: str) -> None:
        """Take the section at the dotted `key` out of the file, changing nothing else in it.

        Raises: NotFound, Invalid, ConfigError, Conflict, Denied.
        """
        from cloudms.config import cut

        path = self.path
        if path is None:
            raise NotFound(f"there is no configuration file, so no {key} in one", hint="cms cloud list")
        with files.Lock(path, self._clock):
            files.write(path, cut.cut(files.read(path)[0], path, _checked(key))[0])
        self._forget()

    def _warned(self, path: Path, keys: Keys, value: object) -> list[Finding]:
        found = [finding for finding in self.warnings if finding.message.startswith(f"the key '{keys[-1]}' in ")]
        if is_clear(keys, value):
            message = f"{'.'.join(keys)} is a secret and now stands in clear"
            found.append(Finding(level="warning", message=message, hint=elsewhere(keys), file=str(path)))
        return found

    def masked(self) -> dict[str, Any]:
        """Return the file as written, references unreplaced, with ****** for every secret in clear: `config cat`."""
        shown: dict[str, Any] = _masked(self._root())
        return shown

    def check(self, nouns: Collection[str] = ()) -> list[Finding]:
        """Return what may need a change, the worst first; a file that cannot be read is one of the findings.

        Parameters: `nouns`, the words of the command line, which no cloud and no alias may be called.
        """
        from cloudms.config import check

        return check.check(self, nouns)


def _checked(key: str) -> str:
    """Return a dotted key without `cloudmesh.` before it. Raises: Invalid."""
    key = key.removeprefix("cloudmesh.")
    if not re.fullmatch(_KEY, key):
        raise Invalid(f"{key!r} is not a key", hint="write it like cloud.aws.default.image")
    return key


def _masked(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.shown() if value.reference or value else UNSET
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value
