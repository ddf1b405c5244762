/** The attachment of whatever kernel a document or the panel has now, and a view that is drawn while it is ready. */
import type { ISessionContext } from '@jupyterlab/apputils';
import { Signal, type ISignal } from '@lumino/signaling';

import { attach, type Attachment } from './attach';

/** Where the current kernel's attachment is found. */
export interface Source {
  readonly attachment: Attachment | null;
  /** Emitted when the attachment is another one, or its status has changed. */
  readonly changed: ISignal<unknown, void>;
}

/** Where a Studio finds its kernel. */
export interface StudioSource extends Source {
  /** The notebook whose kernel it is, or null for the panel's own. */
  readonly notebook: string | null;
  /** Why a kernel could not be started, or nothing. */
  readonly failure: string;
  /** From now on a kernel may be started where there is none. */
  activate(): void;
  /** Starts a kernel again, where that is not the notebook's part. */
  restartOwn(): void;
}

/** Follows a session from kernel to kernel. */
export class SessionSource implements StudioSource {
  readonly failure = '';
  private _attachment: Attachment | null = null;
  private readonly _changed = new Signal<this, void>(this);

  constructor(private readonly session: ISessionContext) {
    session.kernelChanged.connect(this.update, this);
    session.disposed.connect(() => {
      this._attachment?.changed.disconnect(this.tell, this);
      Signal.clearData(this);
    });
    this.update();
  }

  get attachment(): Attachment | null {
    return this._attachment;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get notebook(): string {
    return this.session.path;
  }

  activate(): void {
    // A notebook's kernel is started by the notebook.
  }

  restartOwn(): void {
    // Likewise.
  }

  private update(): void {
    const kernel = this.session.session?.kernel ?? null;
    this._attachment?.changed.disconnect(this.tell, this);
    this._attachment = kernel && attach(kernel);
    this._attachment?.changed.connect(this.tell, this);
    this.tell();
  }

  private tell(): void {
    this._changed.emit();
  }
}

const sources = new WeakMap<ISessionContext, SessionSource>();

/** The source of a session, the same for all who ask. */
export function sourceOf(session: ISessionContext): SessionSource {
  let found = sources.get(session);
  if (!found) {
    found = new SessionSource(session);
    sources.set(session, found);
  }
  return found;
}
