/** A live view as a Lumino widget, opened anew whenever its kernel can show it again. */
import { Signal, type ISignal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import type { CommModel } from './comm';
import type { Source } from './follow';

/** Draws one view; what it is of is the subclass's. */
export abstract class ViewHost<T extends object> extends Widget {
  private model: CommModel<T> | null = null;
  private undo: (() => void) | null = null;
  private readonly _shown = new Signal<this, boolean>(this);
  private readonly _refused = new Signal<this, string>(this);

  /** @param first - the trait that comes with all others that the view needs */
  constructor(
    protected readonly source: Source,
    private readonly first: keyof T & string
  ) {
    super();
    source.changed.connect(this.reopen, this);
  }

  /** Whether the live view is drawn. */
  get isLive(): boolean {
    return this.undo !== null;
  }

  /** Emitted with true as the live view is drawn, and with false as it is taken away. */
  get shown(): ISignal<this, boolean> {
    return this._shown;
  }

  /** Emitted with the reason when the kernel has no such thing. */
  get refused(): ISignal<this, string> {
    return this._refused;
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.source.changed.disconnect(this.reopen, this);
    this.clear();
    Signal.clearData(this);
    super.dispose();
  }

  /** Opens the view's model in the kernel that is ready. */
  protected abstract open(): CommModel<T>;

  /** Draws the view, by a chunk of its own that is loaded with the first one; resolves to how to undo it. */
  protected abstract mount(model: CommModel<T>): Promise<() => () => void>;

  /** Opens the view, where the kernel can show it; subclasses call it once they are made. */
  protected reopen(): void {
    this.clear();
    if (this.source.attachment?.status !== 'ready') {
      return;
    }
    const model = this.open();
    this.model = model;
    model.on(`change:${this.first}`, () => {
      void this.draw(model);
    });
    model.on('refused', (reason: string) => {
      this._refused.emit(reason);
    });
  }

  private async draw(model: CommModel<T>): Promise<void> {
    if (this.undo) {
      return;
    }
    const mount = await this.mount(model);
    if (this.model === model && !this.isLive && !this.isDisposed) {
      this.undo = mount();
      this._shown.emit(true);
    }
  }

  private clear(): void {
    this.model?.close();
    this.model = null;
    if (this.undo) {
      this.undo();
      this.undo = null;
      this._shown.emit(false);
    }
  }
}
