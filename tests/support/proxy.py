"""A TCP proxy that drops, delays, duplicates, cuts and half-closes, as a seed says."""

import asyncio
import contextlib
import random
import threading

FAULTS = ("swallow", "reset", "lose answer", "cut", "delay", "duplicate", "half-close")


class Proxy:
    """Stands between a client and ``127.0.0.1:target``.

    Each part that a client sends meets one of `faults` with probability `rate`; `met` counts them.
    Use it as a context; `port` is where it listens. It runs in a thread of its own.
    """

    def __init__(self, target, seed, rate=0.3, faults=FAULTS, hold_s=3.0):
        self.target = target
        self.rate = rate
        self.faults = faults
        self.hold_s = hold_s
        self.met = dict.fromkeys(FAULTS, 0)
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks = set()

    def __enter__(self):
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self):
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError):
                await self._between(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _between(self, reader, writer):
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self.target)
        state = {"answers": "pass"}
        back = asyncio.ensure_future(self._back(behind_reader, writer, state))
        try:
            while part := await reader.read(65536):
                fault = self._random.choice(self.faults) if self._random.random() < self.rate else None
                if fault:
                    self.met[fault] += 1
                if not await self._forward(fault, part, writer, behind_writer, state):
                    return
        finally:
            back.cancel()
            behind_writer.close()

    async def _forward(self, fault, part, writer, behind_writer, state):
        """Send a part on; False: the connection is over."""
        if fault == "swallow":
            await asyncio.sleep(self.hold_s)
            return False
        if fault == "delay":
            await asyncio.sleep(self._random.uniform(0.0, 0.3))
        if fault in {"lose answer", "cut"}:
            state["answers"] = fault
        behind_writer.write(part)
        if fault == "duplicate":
            behind_writer.write(part)
        await behind_writer.drain()
        if fault == "reset":
            writer.transport.abort()
            return False
        if fault == "half-close":
            writer.write_eof()
            await asyncio.sleep(0.2)
            return False
        return True

    async def _back(self, behind_reader, writer, state):
        with contextlib.suppress(OSError):
            while part := await behind_reader.read(65536):
                if state["answers"] == "lose answer":
                    break
                if state["answers"] == "cut":
                    writer.write(part[: len(part) // 2])
                    break
                writer.write(part)
                await writer.drain()
            writer.close()
