"""The description of a true site that a command names, or every reason why it is refused."""

from pathlib import Path

from pydantic import ValidationError

from daemon.config.diagnostics import problem_of
from daemon.config.settings import SettingsError, parse_toml, read_toml
from daemon.config.toml_lines import LineIndex
from daemon.errors import InputError
from plant.site.description import Description, member_path, members
from plant.site.trace import Trace, TraceError, load_trace


def load_plant(name_or_file: str) -> Description:
    """A description that ships, by its name, or one in a file that ends in .toml.

    Raises:
        InputError: no such name.
        SettingsError: with every problem found, each with file, line, key, reason and what to do.
    """
    if name_or_file.endswith(".toml"):
        path = Path(name_or_file)
    elif name_or_file in members():
        path = member_path(name_or_file)
    else:
        known = ", ".join(members())
        raise InputError(f"--plant: {name_or_file!r} is neither a .toml file nor a site that ships: {known}.")
    text = read_toml(path)
    data = parse_toml(text, path)
    try:
        return Description.model_validate(data | {"name": path.stem}, context={"base": path.parent})
    except ValidationError as error:
        index = LineIndex(text)
        problems = (problem_of(item, Description, index, path) for item in error.errors())
        raise SettingsError(sorted(problems, key=lambda problem: problem.line)) from None


def plant_trace(description: Description | None, chosen: Path | None) -> Trace:
    """The day that is lived: the chosen one, else that of the described house, else the one that ships.

    Raises:
        InputError: it cannot be used.
    """
    described = None if description is None else description.house.trace
    try:
        return load_trace(chosen or described)
    except TraceError as error:
        raise InputError(f"{error}. Name another with --trace.") from None
