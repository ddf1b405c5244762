/** One view's model in JupyterLab, fed by a comm of its own: on a subshell, so that it works while a cell runs. */
import type { Kernel } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';

import type { Command } from './widget/model';
import { Received, type FromKernel } from './widget/received';

/** The comm target that `%load_ext tunelab` registers. */
export const TARGET = 'tunelab';

/** A view's model at this end of its comm; besides `Received`'s events `closed`, when the kernel knows no such target. */
export class CommModel<T extends object> extends Received<T> {
  private readonly comm: Kernel.IComm;

  /**
   * Opens the comm.
   *
   * @param kernel - its info is there, so that it is known whether it has subshells
   * @param asked - which view, as the kernel's `_opened` reads it
   */
  constructor(
    private readonly kernel: Kernel.IKernelConnection,
    asked: JSONObject
  ) {
    super();
    this.comm = kernel.createComm(TARGET);
    this.comm.onMsg = message => {
      this.take(message.content.data as unknown as FromKernel, message.buffers);
    };
    this.comm.onClose = () => {
      this.emit('closed');
    };
    void this.open(asked);
  }

  send(content: Command): void {
    if (!this.kernel.isDisposed && !this.comm.isDisposed) {
      void this.comm.send(content as JSONObject);
    }
  }

  /** Lets the kernel forget this view. */
  close(): void {
    this.forget();
    if (!this.kernel.isDisposed && !this.comm.isDisposed) {
      void this.comm.close();
    }
  }

  private async open(asked: JSONObject): Promise<void> {
    // Where JupyterLab's settings turn subshells off, none ever starts.
    if (this.kernel.supportsSubshells && (this.kernel.commsOverSubshells as string | undefined) !== 'disabled') {
      // Missing from the interface, and the only way not to open on the main shell; that serves where none can start.
      const { subshellStarted } = this.comm as Kernel.IComm & { readonly subshellStarted: Promise<void> };
      await subshellStarted.catch(console.warn);
    }
    if (!this.kernel.isDisposed && !this.comm.isDisposed) {
      void this.comm.open(asked);
    }
  }
}
