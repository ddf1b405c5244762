/** Models that tests drive by hand, in the place of anywidget's and of a comm's. */
import { act } from '@testing-library/react';

import type { Command, Message, Model, Stretch } from '../../labextension/src/widget/model';

type Listener = (...args: never[]) => void;

/** The side of a model that views use; `sent` is what they asked the kernel for. */
export class TestModel<T extends object> implements Model<T> {
  readonly sent: Command[] = [];
  private readonly listeners = new Map<string, Set<Listener>>();

  constructor(readonly traits: T) {}

  get<K extends keyof T & string>(name: K): T[K] {
    return this.traits[name];
  }

  on(event: string, callback: Listener): void {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(callback));
  }

  off(event: string, callback: Listener): void {
    this.listeners.get(event)?.delete(callback);
  }

  send(content: Command): void {
    this.sent.push(content);
  }

  /** Sets traits and tells the views. */
  update(traits: Partial<T>): void {
    Object.assign(this.traits, traits);
    Object.keys(traits).forEach(name => {
      this.tell(`change:${name}`);
    });
  }

  /** Sends points as the kernel does: a curve a call. */
  points(name: string, at: number, runs: Stretch['runs'], values: number[]): void {
    const message = { type: 'points', index: [{ name, at, runs }] };
    this.tell('msg:custom', message, [new DataView(Float32Array.from(values).buffer)]);
  }

  /** Says why something could not be done, as the kernel does. */
  notice(text: string): void {
    this.message({ type: 'notice', text });
  }

  /** Sends what is no trait, such as rows; a file's bytes as a buffer. */
  message(content: Message, buffers: readonly DataView[] = []): void {
    this.tell('msg:custom', content, buffers);
  }

  /** Says that there is no such thing to show. */
  refuse(reason: string): void {
    this.tell('refused', reason);
  }

  /** How many callbacks there are for an event. */
  listening(event: string): number {
    return this.listeners.get(event)?.size ?? 0;
  }

  private tell(event: string, ...args: unknown[]): void {
    act(() => {
      this.listeners.get(event)?.forEach(callback => {
        (callback as (...args: unknown[]) => void)(...args);
      });
    });
  }
}
