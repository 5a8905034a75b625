"""What 1000 HTTP clients cost the stream, and how soon a user is answered meanwhile.

Fills a topic with events of many users, lets a service catch up with it, and alternates windows with and without clients: well-behaved
ones, ones that send a header byte by byte, ones that never read, and ones that send rubbish. Beside them a prober asks for random users
over one connection. Not part of ctest, because it takes minutes and a quiet machine:

    tools/kafka start && MINDSTREAM=build/release/mindstream PYTHONPATH=tests/python /usr/bin/python3 tests/serve/load.py

Prints a line for each window, then throughput with over without, quantiles of the prober, and descriptors and memory before and after."""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import tempfile
import time

import ms_kafka
from ms_http import Server

SLOW, DEAF, RUDE = 0.2, 0.1, 0.1  # shares of the clients; the others behave


opened = []  # of this window, in the process of the clients


async def connect(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    opened.append(writer)
    return reader, writer


async def polite(port, users, think_s):
    reader, writer = await connect(port)
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5) * think_s)
        writer.write(f"GET /v1/users/u{random.randrange(users)}/interests HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)


async def slow(port, *_):
    _, writer = await connect(port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    while True:
        await asyncio.sleep(2)
        writer.write(b"a")
        await writer.drain()


async def deaf(port, *_):
    _, writer = await connect(port)
    writer.transport.pause_reading()
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
    await asyncio.sleep(20)


async def rude(port, *_):
    await asyncio.sleep(random.random() * 2)
    reader, writer = await connect(port)
    writer.write(random.choice([b"\x00" * 200, b"GET /%zz HTTP/1.1\r\n\r\n", b"X" * 30000, b"GET / HTTP/9.9\r\n\r\n",
                                b"GET /" + b"%41" * 4000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"]))
    await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def again(client, *arguments):
    while True:
        try:
            await client(*arguments)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, IndexError):
            await asyncio.sleep(1)


def load(port, clients, users, think_s, on):
    """Runs clients while |on| is set, in a process of its own."""
    os.nice(5)

    async def window():
        counts = [(slow, SLOW), (deaf, DEAF), (rude, RUDE), (polite, 1 - SLOW - DEAF - RUDE)]
        tasks = [asyncio.ensure_future(again(client, port, users, think_s))
                 for client, share in counts for _ in range(round(clients * share))]
        while on.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in opened:
            writer.transport.abort()
        opened.clear()
        await asyncio.sleep(0.1)
    while True:
        on.wait()
        asyncio.run(window())


def probe(port, users, on, out):
    """Asks for random users over one connection while |on| is set; puts (status, seconds) of each."""
    import http.client  # pylint: disable=import-outside-toplevel
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while True:
        time.sleep(0.02)
        if not on.is_set():
            continue
        began = time.perf_counter()
        try:
            connection.request("GET", f"/v1/users/u{random.randrange(users)}")
            response = connection.getresponse()
            response.read()
            out.put((response.status, time.perf_counter() - began))
        except (OSError, http.client.HTTPException):
            connection.close()
            out.put((0, time.perf_counter() - began))


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--users", type=int, default=1000000)
    parser.add_argument("--items", type=int, default=20000)
    parser.add_argument("--events", type=int, default=10000000)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--think-s", type=float, default=2)
    parser.add_argument("--window-s", type=float, default=10)
    parser.add_argument("--windows", type=int, default=6, help="with clients, and as many without")
    arguments = parser.parse_args()
    binary = os.environ["MINDSTREAM"]
    os.environ["KAFKA_BOOTSTRAP"] = arguments.bootstrap
    with ms_kafka.Kafka() as kafka, tempfile.TemporaryDirectory(prefix="mindstream-load-") as directory:
        scenario = ms_kafka.Scenario(kafka, "load", directory)
        scenario.topics()
        began = time.monotonic()
        subprocess.run(f"{binary} generate --users {arguments.users} --items {arguments.items} --events {arguments.events} "
                       f"--model-out {scenario.model_dir} | sed -E 's/^.\"user_id\":\"([^\"]*)\"/\\1|&/' | "
                       f"kcat -P -b {kafka.bootstrap} -t {scenario.input} -K '|' -X queue.buffering.max.messages=1000000",
                       shell=True, check=True, stderr=subprocess.DEVNULL)
        print(f"{arguments.events} events of {arguments.users} users produced in {time.monotonic() - began:.0f} s", flush=True)
        service = scenario.service(publish_mode="latest", routing_mode="auto", http_listen="127.0.0.1:0", http_rate_max=0,
                                   http_connections_max=4096).start()
        server = Server(service)
        events = lambda: server.get("/v1/stats", local=True).json()["counts"]["events"]  # pylint: disable=unnecessary-lambda-assignment
        ms_kafka.wait_for("a tenth of the events", lambda: server.get("/readyz").status == 200 and events() > arguments.events // 10, 120)
        measure(arguments, service, server, events)
        assert service.terminate() == 0


def descriptors_and_memory(service):
    process = f"/proc/{service.process.pid}"
    with open(f"{process}/status", encoding="utf-8") as file:
        memory = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return len(os.listdir(f"{process}/fd")), memory // 1024


def measure(arguments, service, server, events):
    context = multiprocessing.get_context("fork")
    on, probing, out = context.Event(), context.Event(), context.Queue()
    workers = [context.Process(target=load, args=(server.port, arguments.clients, arguments.users, arguments.think_s, on), daemon=True),
               context.Process(target=probe, args=(server.port, arguments.users, probing, out), daemon=True)]
    for worker in workers:
        worker.start()
    rates, answers = {True: [], False: []}, []
    before = descriptors_and_memory(service)
    probing.set()
    for number in range(2 * arguments.windows):
        clients = number % 2 == 1
        (on.set if clients else on.clear)()
        time.sleep(1.5)  # they connect, or go
        counted, began = events(), time.monotonic()
        time.sleep(arguments.window_s)
        lag = server.get("/v1/stats", local=True).json()["counts"]["lag"]
        rate = (events() - counted) / (time.monotonic() - began)
        got = [out.get() for _ in range(out.qsize())]
        seconds = [elapsed for status, elapsed in got if status in (200, 404)]
        print(f"clients={arguments.clients if clients else 0} events_per_s={rate:.0f} lag={lag} users_asked={len(got)} bad={len(got) - len(seconds)} "
              f"p50_ms={1e3 * quantile(seconds, 0.5):.1f} p99_ms={1e3 * quantile(seconds, 0.99):.1f} "
              f"descriptors={descriptors_and_memory(service)[0]} memory_mb={descriptors_and_memory(service)[1]}", flush=True)
        if lag == 0:
            print("the events are used up: give more --events", flush=True)
            break
        rates[clients].append(rate)
        answers += seconds if clients else []
    on.clear()
    probing.clear()
    time.sleep(3)
    if rates[True] and rates[False]:
        pairs = [with_clients / without for with_clients, without in zip(rates[True], rates[False])]
        print(f"with over without clients: median {quantile(pairs, 0.5):.3f}, of {[round(pair, 3) for pair in pairs]}")
    print(f"/v1/users/{{id}} beside them: p50 {1e3 * quantile(answers, 0.5):.1f} ms, p99 {1e3 * quantile(answers, 0.99):.1f} ms of {len(answers)}")
    print(f"descriptors, MB before {before}, after {descriptors_and_memory(service)}")
    print(json.dumps(server.get("/v1/stats", local=True).json()["counts"]))
    for worker in workers:
        worker.terminate()


if __name__ == "__main__":
    main()
