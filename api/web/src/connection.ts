// The WebSocket with everything that keeps it alive: resume, backoff, watchdog.
//
// After a break it reconnects with `since=T`, so nothing is lost: the server first sends the moments missed, or a
// snapshot when it no longer has them. It waits 0.5 s, then longer, 5 s at most, and tries at once when the
// browser says that the network is back. A connection that is silent for longer than two heartbeats is given up.

import { parse, type Message } from "./wire";

export type Phase =
  | { name: "connecting" }
  | { name: "live" }
  /** `at`: when the next attempt starts, UTC ms. */
  | { name: "waiting"; at: number };

export interface Options {
  /** Address to connect to, resuming after `since` when that is not 0. */
  url: (since: number) => string;
  /** T up to which everything was applied. */
  since: () => number;
  onMessage: (message: Message) => void;
  onPhase: (phase: Phase) => void;
  /** For tests. */
  open?: (url: string) => WebSocket;
  random?: () => number;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;
/** The server's heartbeat comes every 15 s. */
const SILENCE_MS = 40_000;
/** How long an attempt may take. */
const ATTEMPT_MS = 10_000;

export class Connection {
  private socket: WebSocket | null = null;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  constructor(private readonly options: Options) {}

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.drop();
  }

  /** Tries now instead of waiting. */
  hurry(): void {
    if (!this.stopped && this.socket === null) this.connect();
  }

  private connect(): void {
    clearTimeout(this.timer);
    this.options.onPhase({ name: "connecting" });
    let socket: WebSocket;
    try {
      const url = this.options.url(this.options.since());
      socket = this.options.open ? this.options.open(url) : new WebSocket(url);
    } catch {
      this.wait();
      return;
    }
    this.socket = socket;
    this.expect(ATTEMPT_MS);
    // Events of a socket that was given up no longer count.
    const current = () => this.socket === socket;
    socket.onmessage = (event: MessageEvent) => {
      if (current()) this.heard(String(event.data));
    };
    socket.onclose = () => {
      if (!current()) return;
      this.drop();
      this.wait();
    };
    socket.onerror = () => {
      if (current()) socket.close();
    };
  }

  private heard(text: string): void {
    this.expect(SILENCE_MS);
    const message = parse(text);
    if (!message) return;
    this.options.onMessage(message);
    if (message.type === "snapshot" || message.type === "batch" || message.type === "heartbeat") {
      // Not on connection_established: a server that greets and fails would be asked again and again without a pause.
      this.failures = 0;
    }
    if (message.type !== "error") this.options.onPhase({ name: "live" });
  }

  private expect(withinMs: number): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.drop();
      this.wait();
    }, withinMs);
  }

  private drop(): void {
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  private wait(): void {
    if (this.stopped) return;
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures);
    // Between three quarters and all of it, so that a restarted server does not meet all its clients at once.
    const wait = longest * (1 - 0.25 * (this.options.random ?? Math.random)());
    this.failures += 1;
    this.options.onPhase({ name: "waiting", at: Date.now() + wait });
    this.timer = setTimeout(() => this.connect(), wait);
  }
}
