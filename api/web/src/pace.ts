// Asks again when told to, but never more often than every `every` ms, nor twice at a time, nor in vain.

export class Pace {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private wanted = false;
  private started = -Infinity;

  constructor(
    private readonly every: number,
    private readonly job: () => Promise<void>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Something changed: the job runs now or as soon as it may, and after this. */
  ask(): void {
    this.wanted = true;
    if (this.running || this.timer !== undefined) return;
    this.timer = setTimeout(() => void this.run(), Math.max(0, this.started + this.every - this.now()));
  }

  private async run(): Promise<void> {
    this.timer = undefined;
    this.wanted = false;
    this.running = true;
    this.started = this.now();
    try {
      await this.job();
    } finally {
      this.running = false;
      if (this.wanted) this.ask();
    }
  }
}
