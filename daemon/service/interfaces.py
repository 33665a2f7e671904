"""What people reach a running daemon by: the status page, and the operators' socket."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from daemon.config.settings import Settings
from daemon.errors import StartError
from daemon.history.database import FILE
from daemon.history.reading import HistoryReader
from daemon.monitoring.figures import Figures
from daemon.operators.operator_socket import OperatorSocket, serve_control
from daemon.system.clock import TickPace, boottime_s
from daemon.system.log import log
from daemon.web.history_answers import HistoryAnswers
from daemon.web.server import StatusError, StatusServer, serve


@asynccontextmanager
async def served_status(settings: Settings, figures: Figures, pace: TickPace) -> AsyncIterator[StatusServer]:
    """Serve the page; a taken port refuses the start, because nobody would see what the daemon does."""
    host, port = settings.status.host, settings.status.port
    tariff = settings.tariff
    past = HistoryAnswers(
        HistoryReader(settings.state.directory / FILE, settings.zone()),
        tariff.currency,
        tariff.co2_g_per_kwh is not None,
        boottime_s,
    )
    try:
        server = await serve(
            figures,
            host,
            port,
            clock=boottime_s,
            next_tick_at_s=lambda: pace.next_at_s,
            history=past,
            language=settings.site.language,
        )
    except StatusError as error:
        raise StartError(str(error)) from None
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def served_operators(state: Path, control: OperatorSocket) -> AsyncIterator[None]:
    """Let operators acknowledge. A daemon that nobody can acknowledge still controls, and says so."""
    async with AsyncExitStack() as door:
        try:
            await door.enter_async_context(serve_control(state, control))
        except OSError as error:
            log.warning("control_socket_unusable", reason=error.strerror, directory=str(state))
        yield
