/** A page's model, opened in the kernel with the page and closed with it. */
import { useEffect, useState } from 'react';

import { plainText } from './format';
import type { Model } from './model';
import type { Asked } from './shell';
import { useShell } from './shell';

/** The model once its first trait is there, or why there is none. */
export interface OpenedModel<T extends object> {
  readonly model: Model<T> | null;
  /** The kernel's sentence where it has no such thing. */
  readonly refused: string;
}

/**
 * Opens a view of the kernel's for as long as the component shows.
 *
 * @param asked - what the kernel's `comms` is asked for; the same text is the same view
 * @param first - the trait that comes with all others that the page needs
 * @param open - how it is opened, where the shell has a way of its own for it; another function opens it anew
 */
export function useOpened<T extends object>(
  asked: Asked,
  first: keyof T & string,
  open?: () => Model<T> & { close(): void }
): OpenedModel<T> {
  const shell = useShell();
  const key = JSON.stringify(asked);
  const [state, setState] = useState<OpenedModel<T> & { readonly key: string }>({ key, model: null, refused: '' });
  useEffect(() => {
    const model = open ? open() : shell?.open<T>(JSON.parse(key) as Asked);
    if (!model) {
      return undefined;
    }
    const ready = () => {
      setState(before => (before.model === model ? before : { key, model, refused: '' }));
    };
    const refuse = (reason: string) => {
      setState({ key, model: null, refused: plainText(reason) });
    };
    model.on(`change:${first}`, ready);
    model.on('refused', refuse);
    return () => {
      model.off(`change:${first}`, ready);
      model.off('refused', refuse);
      model.close();
      setState({ key, model: null, refused: '' });
    };
  }, [shell, key, first, open]);
  return state.key === key ? state : { model: null, refused: '' };
}
