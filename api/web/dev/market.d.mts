import type { History, Message, Zone } from "../src/wire";

export interface MockZone extends Zone {
  base: number;
}
export const ZONES: readonly MockZone[];
export function random(seed: number): () => number;
export class Market {
  constructor(options: { seed?: number; t: number; hours?: number; zones?: readonly MockZone[]; corrections?: number });
  t: number;
  step(ms?: number): Extract<Message, { type: "batch" }>;
  snapshot(): Extract<Message, { type: "snapshot" }>;
  history(zone: string, width: number, from: number, limit: number): History;
}
