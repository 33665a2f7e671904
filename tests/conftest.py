"""What every test shares."""

import logging
from collections.abc import Generator, Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("sunkeep", deadline=None)  # a busy machine is no failure
settings.load_profile("sunkeep")

PLAIN_LOG: list[structlog.typing.Processor] = [
    structlog.processors.add_log_level,
    structlog.dev.set_exc_info,
    structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
]
"""Before the daemon's own log begins. By default every traceback is drawn with the values of all variables,
which takes seconds for a memory of the decision."""


@pytest.fixture(autouse=True)
def _log_as_at_first() -> Iterator[None]:
    """A test that starts the daemon's log leaves none of it to the next."""
    structlog.configure(processors=PLAIN_LOG)
    yield
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one).__module__ == "daemon.system.log"]:
        root.removeHandler(handler)
    structlog.reset_defaults()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skip", action="store_true", help="count a skipped test as failed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test first: what runs in parallel then ends together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--no-skip") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and no test may skip here: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--no-skip") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and no test may skip here: {report.longrepr}"
    return report
