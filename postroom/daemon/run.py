"""The daemon's life: what is started in which order, how it takes a new configuration, and how it ends without losing anything.

Start: secrets, lock, schema; then the intake, before anybody can hand mail over; then the doors, SMTP first, since a port
can be taken; then what works on the mail. Reload (SIGHUP): a new house is built beside the old one; only when it stands
does everyone move, between two batches, and no session is dropped. Stop: the doors close first, what was taken is
committed and answered, and whatever hangs is left behind in time, as by a crash, which loses nothing.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from random import SystemRandom
from typing import TYPE_CHECKING

from postroom.config import Config, split_listen
from postroom.daemon import log as logging
from postroom.daemon import pulse, systemd
from postroom.daemon.alarms import LOOK_SECONDS as ALARM_SECONDS
from postroom.daemon.alarms import Alarms
from postroom.daemon.begin import begin, open_checker, read_secrets
from postroom.daemon.calendar_jobs import jobs_of
from postroom.daemon.credentials import of_smarthosts
from postroom.daemon.failpoint import failpoint
from postroom.daemon.gauges import Gauges, Machine
from postroom.daemon.health import Cached, HealthServer, Page, as_json
from postroom.daemon.house import House, now
from postroom.daemon.intake import Intake
from postroom.daemon.keeping import keep, keep_thread, passed
from postroom.daemon.listener import Listener
from postroom.daemon.metrics import Metrics
from postroom.daemon.presence import Presence
from postroom.daemon.process import Check, Processor
from postroom.daemon.pulse import Database, Pulses, Watchdog
from postroom.daemon.reload import Prepared, needing_restart, prepare
from postroom.daemon.roles import ALL, IMAP, INTAKE, SCHEDULE, SEND, SMTP, WORK
from postroom.daemon.schedule import Schedule
from postroom.daemon.smtp import SmtpServer
from postroom.daemon.watchers import Watchers
from postroom.daemon.workers import Workers
from postroom.errors import PostroomError
from postroom.logger import structlog
from postroom.outbound.courier import Courier
from postroom.store import news
from postroom.store.checkpoint import Checkpointer

if TYPE_CHECKING:
    from postroom.daemon.checking import Checker

DOORS_SECONDS = 10.0  # for open sessions and watchers to end
WORK_SECONDS = 20.0  # for a batch or a delivery at hand to end
COMMIT_SECONDS = 5.0  # for the last commits, when the doors are closed
STOP_SECONDS = 28.0  # in all; service managers kill at 30 and later
METRICS_SECONDS = 5.0  # how old a page of metrics may be, however many ask
LOOP_SECONDS = 1.0  # how often the event loop shows that it turns
# what the interpreter gives to a thread while others want it; its own 5 ms, several times, are a slow 250
SWITCH_SECONDS = 0.0005

log = structlog.get_logger()


async def serve(config: Config, on_stopping: Callable[[], None] = lambda: None, roles: frozenset[str] = ALL) -> None:
    """Run the daemon, or only these parts of it, until SIGTERM or SIGINT. Raises ConfigError and UserError where it cannot begin."""
    secrets = read_secrets(config)
    logging.configure(config.log, [secret for secret in secrets.values() if secret])
    logging.catch_the_rest()
    sys.setswitchinterval(SWITCH_SECONDS)
    with suppress(OSError, ValueError):  # a watchdog that gives up sends SIGABRT: say where each thread was
        faulthandler.enable()
    stop, reload = asyncio.Event(), asyncio.Event()
    _on_signals(stop, reload)
    with ExitStack() as closing:
        house = await begin(config, closing, stop)
        if house is None:
            return
        _name_broken_templates(house)
        metrics = Metrics()
        workers = closing.enter_context(Workers(config.processing, metrics=metrics))
        daemon = Daemon(house, workers, secrets, metrics, roles)
        try:
            await daemon.start()
            reloading = asyncio.ensure_future(daemon.reload_whenever(reload))
            await stop.wait()
            reloading.cancel()
        finally:
            on_stopping()
            await daemon.stop()


class Daemon:
    """Everything that runs, or what `roles` name of it."""

    def __init__(
        self, house: House, workers: Workers, secrets: Mapping[str, str], metrics: Metrics, roles: frozenset[str] = ALL
    ) -> None:
        self._roles = roles
        config, store = house.config, house.store
        self._house, self._secrets, self._workers, self._metrics = house, secrets, workers, metrics
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._kept: list[asyncio.Task[None]] = []
        self._pulses = Pulses()
        self._database = Database(store)
        if store.objects is not None:
            store.objects.observe = lambda verb, outcome: metrics.count("objects", verb, outcome)
        self._watchdog = Watchdog(self._pulses, self._database, self._describe)
        self._couriers_stop = asyncio.Event()
        self._courier = self._new_courier(house, secrets)
        self._checkers = [open_checker(config, workers)]
        self._processor = Processor(
            config, store, workers, house.reception, now, self._wake_courier, _check(self._checkers[0]),
            self._begin_pulse(WORK, "process", pulse.PROCESS + 6 * config.processing.parse_seconds), metrics,
        )  # fmt: skip
        self._intake = Intake(store, self._processor.wake, self._begin_pulse(INTAKE, "intake", pulse.INTAKE), metrics)
        self._smtp = SmtpServer(config, store, self._intake, systemd.take_sockets(), metrics)
        self._watchers = Watchers(store, self._intake, self._pulses)
        self._checkpointer = Checkpointer(store) if store.path else None
        self._presence = Presence(store, self._work_is_free)
        self._listener = Listener(store, self._hear)
        self._schedule = self._new_schedule(house)
        self._alarms = self._new_alarms(house)
        self._health = self._new_health(config)

    async def start(self) -> None:
        """Start it all; raises UserError where a port is taken."""
        config = self._house.config
        self._database.start()
        await asyncio.to_thread(self._presence.start)
        if one := self._checkpointer:
            self._keep_thread("checkpoint", one.start, lambda: one.is_alive)
        if self._roles & INTAKE:
            self._keep_thread("intake", self._intake.start, lambda: self._intake.is_alive)
        if self._roles & SMTP:
            await self._smtp.start()
        if self._roles & IMAP:
            await self._watchers.use(config, self._secrets, DOORS_SECONDS)
        if self._roles & WORK:
            self._keep_thread("process", self._processor.start, lambda: self._processor.alive)
        if self._roles & SEND:
            self._start_courier()
        if self._roles & SCHEDULE:
            self._schedule.start()
        self._listener.start()
        self._keep(self._turn(self._pulses.begin("loop", pulse.LOOP)))
        self._watchdog.start()
        self._keep(keep("alarms", self._watch_alarms, self._stopping))
        if self._health:
            await self._health.start()
        log.info("ready", smtp=self._smtp.addresses, imap=self._watchers.names, courier=config.outgoing.courier,
                 database=self._house.store.engine.name, roles=sorted(self._roles))  # fmt: skip
        self._is_ready = True
        systemd.notify("READY=1")

    def _begin_pulse(self, roles: frozenset[str], name: str, within: float) -> Callable[[], None]:
        """Nothing is expected of a part that does not run here."""
        return self._pulses.begin(name, within) if self._roles & roles else lambda: None

    def _new_courier(self, house: House, secrets: Mapping[str, str]) -> Courier:
        return Courier(
            house.config, house.store, of_smarthosts(house.config, secrets), now, SystemRandom(), structlog.get_logger("courier"),
            notifier=house.notifier, failpoint=failpoint, beat=self._begin_pulse(SEND, "courier", pulse.COURIER),
            on_settled=self._settled,
        )  # fmt: skip

    def _start_courier(self) -> None:
        courier, stop = self._courier, asyncio.Event()
        self._couriers_stop = stop
        self._keep(keep("courier", lambda: courier.run(stop), stop))

    def _new_schedule(self, house: House) -> Schedule:
        beat = self._begin_pulse(SCHEDULE, "schedule", pulse.SCHEDULE)
        jobs = jobs_of(house.config, house.notifier, now)
        return Schedule(house.config, house.store, now, house.notifier, self._wake_courier, jobs, beat)

    def _new_alarms(self, house: House) -> Alarms:
        return Alarms(
            house.config, house.store, house.notifier, now, lambda: self._watchdog.hanging, self._wake_courier
        )

    async def _watch_alarms(self) -> None:
        while not await passed(self._stopping, ALARM_SECONDS):
            await asyncio.to_thread(self._alarms.look)

    def _new_health(self, config: Config) -> HealthServer | None:
        if not config.health.listen:
            return None
        gauges = Gauges(lambda: self._house.config, self._house.store, self._metrics, self._machine, now)
        page = Cached(METRICS_SECONDS, gauges.render)

        async def metrics() -> Page:
            return Page(200, await page.get(), "text/plain; version=0.0.4; charset=utf-8")

        host, port = split_listen(config.health.listen, "health.listen")
        return HealthServer(host, port, {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": metrics})

    async def _healthz(self) -> Page:
        hanging = sorted(self._watchdog.hanging)
        ages = {name: round(age, 1) for name, age in self._pulses.ages().items()}
        return as_json(not hanging, hanging=hanging, secondsSinceProgress=ages)

    async def _readyz(self) -> Page:
        """Whether mail that comes now would be taken."""
        facts = {
            "database": self._database.answers,
            "doors": self._is_ready and not self._stopping.is_set(),
            "disk": not self._smtp.is_disk_short,
            "components": not self._watchdog.hanging,
        }
        return as_json(all(facts.values()), **facts)

    def _machine(self) -> Machine:
        return Machine(self._smtp.sessions, self._smtp.held, self._pulses.ages(), frozenset(self._watchdog.hanging))

    def _hear(self, what: str) -> None:
        """Another daemon, or a command, has work for us."""
        if what == news.INBOUND:
            self._processor.wake()
        else:
            self._wake_courier()

    def _work_is_free(self) -> None:
        """Of a daemon that died."""
        self._processor.wake()
        self._wake_courier()

    def _wake_courier(self) -> None:
        self._courier.wake()

    def _settled(self, purpose: str, outcome: str, seconds: float) -> None:
        self._metrics.count("deliveries", purpose, outcome)
        self._metrics.took("attempt_seconds", [seconds])

    async def _turn(self, beat: Callable[[], None]) -> None:
        while not await passed(self._stopping, LOOP_SECONDS):
            beat()

    def _describe(self) -> str:
        """How it fares, in some words."""
        total, hanging = self._metrics.total, self._watchdog.hanging
        return (
            f"{'something hangs' if hanging else 'running'}: {total('accepted')} mails taken, {total('processed')} processed, "
            f"{total('deliveries')} deliveries; {self._smtp.sessions} SMTP sessions, {len(self._watchers.names)} mailboxes watched"
        )

    def _keep_thread(self, name: str, start: Callable[[], None], is_alive: Callable[[], bool]) -> None:
        self._keep(keep_thread(name, start, is_alive, self._stopping))

    def _keep(self, kept: Awaitable[None]) -> None:
        self._kept = [task for task in self._kept if not task.done()]
        self._kept.append(asyncio.ensure_future(kept))

    # Another configuration

    async def reload_whenever(self, asked: asyncio.Event) -> None:
        """Take a new configuration each time that `asked` is set."""
        while True:
            await asked.wait()
            asked.clear()
            systemd.reloading()
            try:
                await self._adopt(await asyncio.to_thread(prepare, self._house, self._workers))
            except PostroomError as error:
                self._metrics.count("reloads", "refused")
                log.error("not reloaded", why=str(error))  # noqa: TRY400 - one line says it all
            except Exception:  # the old configuration stands, whatever is wrong with the new one
                self._metrics.count("reloads", "refused")
                log.exception("not reloaded")
            systemd.notify("READY=1")

    async def _adopt(self, new: Prepared) -> None:
        """Move everyone into the new house. Only the doors can refuse, before anything has changed."""
        old, house, secrets = self._house, new.house, new.secrets
        if self._roles & SMTP:
            await self._smtp.use(house.config)
        if keys := needing_restart(old.config, house.config):
            log.warning("needs a restart", keys=keys)
        logging.configure(
            house.config.log, [secret for secret in (*self._secrets.values(), *secrets.values()) if secret]
        )
        self._house, self._secrets = house, secrets
        _name_broken_templates(house)
        self._checkers.append(new.checker)
        self._processor.use(house.config, house.reception, _check(new.checker))
        self._courier.grace_seconds = None
        self._couriers_stop.set()
        self._courier = self._new_courier(house, secrets)
        self._courier.is_first = False
        if self._roles & SEND:
            self._start_courier()
        self._schedule.stop()
        self._schedule = self._new_schedule(house)
        if self._roles & SCHEDULE:
            self._schedule.start()
        self._alarms = self._new_alarms(house)
        if self._roles & IMAP:
            await self._watchers.use(house.config, secrets, DOORS_SECONDS)
        self._metrics.count("reloads", "done")
        log.info(
            "reloaded", smtp=self._smtp.addresses, imap=self._watchers.names, courier=house.config.outgoing.courier
        )

    # The end

    async def stop(self) -> None:
        """End it all: close the doors, finish what was taken."""
        if self._is_ready:  # else the reason is said in one line
            log.info("stopping")
        systemd.notify("STOPPING=1")
        self._watchdog.stop()
        self._database.stop()
        self._listener.stop()
        self._stopping.set()
        self._couriers_stop.set()
        self._schedule.stop()
        if self._health:
            self._health.stop()
        watching = asyncio.ensure_future(self._watchers.stop(DOORS_SECONDS))
        working = asyncio.gather(
            asyncio.wait(self._kept, timeout=WORK_SECONDS) if self._kept else asyncio.sleep(0),
            asyncio.to_thread(self._processor.stop, WORK_SECONDS),
        )
        await asyncio.gather(self._smtp.stop(DOORS_SECONDS), watching)
        await asyncio.to_thread(self._intake.stop, COMMIT_SECONDS)
        await working
        if self._checkpointer:
            await asyncio.to_thread(self._checkpointer.stop, COMMIT_SECONDS)
        await asyncio.to_thread(self._presence.stop)
        for checker in self._checkers:
            if checker:
                checker.close()
        for late in self._kept:
            late.cancel()
        if self._is_ready:
            log.info("stopped")


def _check(checker: Checker | None) -> Check | None:
    return checker.check_all if checker else None


def _name_broken_templates(house: House) -> None:
    for problem in house.templates.check():
        log.warning("ours is used in place of a template", template=str(problem.path), why=problem.why)


def _on_signals(stop: asyncio.Event, reload: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)


def leave_in_time() -> None:
    """Whatever hangs (a database that was stopped, say), this process ends: all that matters is on disk."""

    def leave() -> None:
        log.error("cut off", after=STOP_SECONDS)
        os._exit(1)

    timer = threading.Timer(STOP_SECONDS, leave)
    timer.daemon = True
    timer.start()
