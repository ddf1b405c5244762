/** The page's colours, read from the style sheet's variables, and a hook that follows a change of theme. */
import { useSyncExternalStore } from 'react';

import type { Theme } from './figure';

/** The theme at `node`, which is in the page. */
export function themeOf(node: Element): Theme {
  const style = getComputedStyle(node);
  const read = (name: string) => style.getPropertyValue(`--tunelab-${name}`).trim();
  return {
    palette: [1, 2, 3, 4, 5].map(place => read(`c${place}`)),
    text: read('text'),
    muted: read('muted'),
    line: read('line'),
    surface: read('surface'),
    font: read('font')
  };
}

/** A number that grows when the page's theme may have changed: JupyterLab's, or the system's elsewhere. */
export function useThemeChanges(): number {
  return useSyncExternalStore(subscribe, () => changes);
}

let changes = 0;

function subscribe(changed: () => void): () => void {
  const tell = () => {
    changes++;
    changed();
  };
  const observer = new MutationObserver(tell);
  observer.observe(document.body, { attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name'] });
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', tell);
  return () => {
    observer.disconnect();
    dark.removeEventListener('change', tell);
  };
}
