import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection, type Phase } from "../src/connection";
import type { Message } from "../src/wire";

class FakeSocket {
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  constructor(readonly url: string) {}
  close() {
    if (this.closed) return;
    this.closed = true;
    this.onclose?.();
  }
  say(message: object | string) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }
}

describe("connection", () => {
  let sockets: FakeSocket[] = [];
  let phases: Phase[] = [];
  let messages: Message[] = [];
  let since = 0;
  const make = () =>
    new Connection({
      url: (t) => `ws://test/?since=${t}`,
      since: () => since,
      onMessage: (message) => {
        messages.push(message);
        if (message.type === "batch" || message.type === "snapshot") since = message.t;
      },
      onPhase: (phase) => phases.push(phase),
      open: (url) => {
        const socket = new FakeSocket(url);
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      random: () => 0,
    });
  const last = () => sockets.at(-1)!;

  beforeEach(() => {
    vi.useFakeTimers();
    [sockets, phases, messages, since] = [[], [], [], 0];
  });
  afterEach(() => vi.useRealTimers());

  it("resumes after the last T it has", () => {
    make().start();
    last().say({ type: "snapshot", t: 100, events: [] });
    last().say({ type: "batch", t: 140, events: [] });
    expect(phases.at(-1)).toEqual({ name: "live" });
    last().close();
    expect(phases.at(-1)?.name).toBe("waiting");
    vi.advanceTimersByTime(500);
    expect(sockets.map(({ url }) => url)).toEqual(["ws://test/?since=0", "ws://test/?since=140"]);
  });

  it("waits longer each time, five seconds at most, and starts short again after a moment came", () => {
    make().start();
    const waits: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      last().close();
      const phase = phases.at(-1)!;
      waits.push(phase.name === "waiting" ? phase.at - Date.now() : NaN);
      vi.advanceTimersByTime(waits.at(-1)!);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    last().say({ type: "connection_established", timestamp: "", storage_backend: "memory" });
    last().close();
    expect(phases.at(-1)).toEqual({ name: "waiting", at: Date.now() + 5_000 });
    vi.advanceTimersByTime(5_000);
    last().say({ type: "batch", t: 1, events: [] });
    last().close();
    expect(phases.at(-1)).toEqual({ name: "waiting", at: Date.now() + 500 });
  });

  it("gives up a connection that is silent, and hears nothing from it any more", () => {
    make().start();
    last().say({ type: "snapshot", t: 1, events: [] });
    vi.advanceTimersByTime(39_000);
    last().say({ type: "heartbeat", t: 1, timestamp: "" });
    vi.advanceTimersByTime(39_000);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(1_600);
    expect(sockets).toHaveLength(2);
    const heard = messages.length;
    sockets[0]!.say({ type: "batch", t: 9, events: [] });
    expect(messages).toHaveLength(heard);
  });

  it("tries at once when told that the network is back, but never twice at a time", () => {
    const connection = make();
    connection.start();
    connection.hurry();
    expect(sockets).toHaveLength(1);
    last().close();
    connection.hurry();
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(5_000);
    expect(sockets).toHaveLength(2);
  });

  it("overlooks what is no message, and stops when told", () => {
    const connection = make();
    connection.start();
    for (const bad of ["", "{", "null", "[]", "<html>", '{"t":1}']) last().say(bad);
    expect(messages).toEqual([]);
    connection.stop();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});
