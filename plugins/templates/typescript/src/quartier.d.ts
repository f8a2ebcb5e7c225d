// The interface `quartier:rule` (vendor/wit/rule.wit) as QuickJS sees it. Whole numbers of 64 bits
// are `number`: exact for times and positions, not for H3 cells.

/** Numbers stand for names: of assets, metrics, topics and commands. */
export type Id = number;

export interface Entry {
  id: Id;
  /** Name in the vocabulary or the manifest. */
  urn: string;
  /** UCUM; empty for topics and commands. */
  unit: string;
}

export interface Dictionary {
  metrics: Entry[];
  props: Entry[];
  topics: Entry[];
  commands: Entry[];
}

/** Readings in columns of the same length. */
export interface Batch {
  seq: number;
  /** Logical time; the only clock a rule has. */
  nowMs: number;
  asset: Id[];
  metric: Id[];
  value: number[];
  tsMs: number[];
  /** 0 good, 1 uncertain, 2 bad. */
  quality: Uint8Array;
}

/** Closed windows in columns of the same length. */
export interface Windows {
  asset: Id[];
  metric: Id[];
  spanS: number[];
  endMs: number[];
  mean: number[];
  minimum: number[];
  maximum: number[];
  last: number[];
  /** Share of the window that readings stand for, 0 to 1. */
  coverage: number[];
}

/** Properties: for each row, readings first, a value of each of `props`, NaN where there is none. */
export interface TwinView {
  props: Id[];
  values: number[];
}

export interface Asset {
  id: Id;
  urn: string;
  /** Empty: the asset is gone. */
  kind: string;
  attributes: [string, string][];
  relations: { kind: string; target: Id }[];
}

export type Severity = "info" | "warning" | "major" | "critical";

export interface Alert {
  asset: Id;
  topic: Id;
  severity: Severity;
  code: number;
  raise: boolean;
  value: number;
  text: string | null;
  /** Row of the batch that decided, readings first, then windows. */
  cause: number;
}

export interface Command {
  asset: Id;
  command: Id;
  arg: number;
  expiresMs: number;
  dedupKey: number;
  cause: number;
}

export interface Output {
  derived: { asset: Id[]; metric: Id[]; value: number[]; tsMs: number[] };
  alerts: Alert[];
  commands: Command[];
}

/** What a function throws to refuse; nothing else is to be thrown. */
export type RuleError =
  | { tag: "bad-config"; val: string }
  | { tag: "bad-input"; val: number }
  | { tag: "internal"; val: string };

export interface Guest {
  init(dict: Dictionary, config: [string, string][]): void;
  onBatch(readings: Batch, windows: Windows, twin: TwinView): Output;
  onAssets(changed: Asset[]): void;
  onTick(nowMs: number): Output;
  snapshot(): Uint8Array;
  restore(state: Uint8Array): void;
}
