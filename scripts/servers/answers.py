#!/usr/bin/env python3
"""Does the server really answer? usage: answers.py NAME PORT; exit 0 when it does.

Each server is asked for something only a working one can give: a listening socket is not enough
(Kafka listens seconds before it takes a message).
"""
import socket
import struct
import sys
import urllib.request

NAME, PORT = sys.argv[1], int(sys.argv[2])
PATIENCE_S = 5


def connect() -> socket.socket:
    return socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE_S)


def exactly(link: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        more = link.recv(n - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def redis() -> bool:
    with connect() as link:
        link.sendall(b"PING\r\n")
        return exactly(link, 7) == b"+PONG\r\n"


def kafka() -> bool:
    """Metadata (key 3, version 1) for no topic: the broker must list itself, which it does once it is unfenced."""
    with connect() as link:
        request = struct.pack(">hhihi", 3, 1, 7, -1, 0)
        link.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", exactly(link, 4))
        correlation, brokers = struct.unpack(">ii", exactly(link, size)[:8])
        return correlation == 7 and brokers >= 1


def postgres() -> bool:
    """The start-up message for user postgres: 'R' with 0 (trusted), not an error such as "starting up"."""
    with connect() as link:
        body = struct.pack(">i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        link.sendall(struct.pack(">i", len(body) + 4) + body)
        return exactly(link, 9) == b"R" + struct.pack(">ii", 8, 0)


def clickhouse() -> bool:
    url = f"http://127.0.0.1:{PORT}/"
    with urllib.request.urlopen(url, data=b"SELECT 6 * 7", timeout=PATIENCE_S) as reply:
        return reply.read().strip() == b"42"


try:
    sys.exit(0 if {"redis": redis, "kafka": kafka, "postgres": postgres, "clickhouse": clickhouse}[NAME]() else 1)
except (OSError, struct.error):
    sys.exit(1)
