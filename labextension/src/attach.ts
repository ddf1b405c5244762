/** Whether a kernel can show jobs and datasets, and what to do where it cannot: the handshake, once a kernel. */
import type { Kernel } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';

import { CommModel } from './comm';
import type { MLflowLink } from './widget/model';

/** The protocol of kernel/tunelab/notebook/comms.py that this extension speaks. */
const PROTOCOL = 7;
/** After so long without an answer a kernel is said to be busy. */
const PATIENCE_MS = 1500;
const LOAD = '%load_ext tunelab';
/** Lets a kernel answer the page's views, without a name in the user's namespace and without what the extension adds. */
const ANSWER = "__import__('tunelab.notebook.comms', fromlist=['install']).install(get_ipython())";

/** What the kernel says of itself. */
export interface Hello {
  version: string;
  protocol: number;
  workspace: string;
  mlflow: MLflowLink;
}

/** How a kernel stands to tunelab. */
export type Status =
  /** Nothing is known yet. */
  | 'connecting'
  /** Jobs can be shown. */
  | 'ready'
  /** The kernel runs a cell and cannot answer meanwhile. */
  | 'busy'
  /** `%load_ext tunelab` has not been run. */
  | 'unloaded'
  /** The kernel's Python has no tunelab. */
  | 'missing'
  /** Loading failed, for the reason in `detail`. */
  | 'failed'
  /** The kernel's tunelab speaks another protocol; `detail` is its version. */
  | 'other'
  | 'dead';

/** One kernel, watched. Get it by `attach`. */
export class Attachment {
  private _status: Status = 'connecting';
  private _hello: Hello | null = null;
  private _detail = '';
  private readonly _changed = new Signal<this, void>(this);
  // Open for as long as the kernel: JupyterLab ends the views' subshell with its last comm, and one that is opened at
  // that moment would be lost.
  private asking: CommModel<Hello> | null = null;
  private turn = 0;
  private pending = false;
  private again = false;
  private loading = false;
  private restarted = false;
  private wasReady = false;

  constructor(readonly kernel: Kernel.IKernelConnection) {
    kernel.statusChanged.connect(this.onStatus, this);
    // A cell that has run may have loaded the extension. The status is no sign of it: our own question changes it too.
    kernel.anyMessage.connect((_, { msg, direction }) => {
      if (direction === 'recv' && msg.header.msg_type === 'execute_reply' && !this.loading && this.wants) {
        void this.hello();
      }
    });
    kernel.disposed.connect(() => {
      this.set('dead');
      Signal.clearData(this);
    });
    void this.hello();
  }

  get status(): Status {
    return this._status;
  }

  /** The kernel's answer, once the status is `ready` or `other`. */
  get answer(): Hello | null {
    return this._hello;
  }

  /** More on the status, such as the error of a failed loading. */
  get detail(): string {
    return this._detail;
  }

  /** Emitted with each change of the status. After a restart `ready` comes anew, and models must be opened again. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Runs `%load_ext tunelab` in the kernel, as soon as it is free. */
  async load(): Promise<void> {
    await this.run(LOAD);
  }

  private async run(code: string): Promise<void> {
    if (this.loading) {
      return;
    }
    this.loading = true;
    this.set(this.kernel.status === 'busy' ? 'busy' : 'connecting');
    let error: { ename: string; evalue: string } | null;
    try {
      error = await this.execute(code);
    } catch {
      // The kernel was restarted or ended meanwhile: its status says so.
      return;
    } finally {
      this.loading = false;
    }
    if (error === null) {
      await this.hello();
    } else {
      const { ename, evalue } = error;
      this._detail = `${ename}: ${evalue}`;
      this.set(ename === 'ModuleNotFoundError' && evalue.includes("'tunelab'") ? 'missing' : 'failed');
    }
  }

  /** Runs code that shows nothing; resolves to its error, or to null. */
  private async execute(code: string): Promise<{ ename: string; evalue: string } | null> {
    const future = this.kernel.requestExecute({ code, silent: true, store_history: false, stop_on_error: false });
    let error: { ename: string; evalue: string } | null = null;
    future.onIOPub = message => {
      if (message.header.msg_type === 'error') {
        error = message.content as { ename: string; evalue: string };
      }
    };
    const { content } = await future.done;
    // A cell that was waited for and then failed or was interrupted takes all that waits with it.
    return content.status === 'aborted' ? this.execute(code) : content.status === 'error' ? content : error;
  }

  private async hello(): Promise<void> {
    if (this.pending) {
      this.again = true;
      return;
    }
    this.pending = true;
    this.again = false;
    const turn = ++this.turn;
    const patience = setTimeout(() => {
      if (this._status === 'connecting') {
        this.set('busy');
      }
    }, PATIENCE_MS);
    try {
      await this.kernel.info;
      if (!this.kernel.isDisposed && turn === this.turn) {
        await this.ask(turn);
      }
    } finally {
      clearTimeout(patience);
      if (turn === this.turn) {
        this.pending = false;
      }
    }
    if (turn === this.turn && this.wantsAgain) {
      await this.hello();
    }
  }

  private ask(turn: number): Promise<void> {
    const asking = new CommModel<Hello>(this.kernel, { view: 'hello' });
    this.asking?.close();
    this.asking = asking;
    return new Promise(resolve => {
      asking.on('change:protocol', () => {
        this._hello = {
          version: asking.get('version'),
          protocol: asking.get('protocol'),
          workspace: asking.get('workspace'),
          mlflow: asking.get('mlflow')
        };
        this._detail = this._hello.version;
        this.set(this._hello.protocol === PROTOCOL ? 'ready' : 'other');
        resolve();
      });
      asking.on('closed', () => {
        if (turn === this.turn) {
          this.asking = null;
          this.set('unloaded');
        }
        resolve();
      });
    });
  }

  private onStatus(_: unknown, status: Kernel.Status): void {
    if (status === 'dead' || status === 'terminating') {
      this.set('dead');
    } else if (status === 'restarting' || status === 'autorestarting') {
      // A restart is told of more than once.
      this.wasReady ||= this._status === 'ready';
      this.asking = null;
      this._hello = null;
      this.turn++;
      this.pending = false;
      this.loading = false;
      this.restarted = true;
      this.set('connecting');
    } else if (status === 'idle' && this.restarted) {
      this.restarted = false;
      // The views that were live are live again. What the user's own cells load is left to them.
      void (this.wasReady ? this.run(ANSWER) : this.hello());
      this.wasReady = false;
    }
  }

  /** Whether the answer may be another by now. */
  private get wants(): boolean {
    return this._status !== 'ready' && this._status !== 'other' && this._status !== 'dead';
  }

  private get wantsAgain(): boolean {
    return this.again && this.wants;
  }

  private set(status: Status): void {
    if (status !== this._status || status === 'ready') {
      this._status = status;
      this._changed.emit();
    }
  }
}

const attachments = new WeakMap<Kernel.IKernelConnection, Attachment>();

/** The attachment of a kernel, made on first use. */
export function attach(kernel: Kernel.IKernelConnection): Attachment {
  let found = attachments.get(kernel);
  if (!found) {
    found = new Attachment(kernel);
    attachments.set(kernel, found);
  }
  return found;
}
