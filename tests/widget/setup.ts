/** What jsdom lacks of a browser. Nothing has a size in it, so plotly is never asked to draw: real browsers test that. */
import { vi } from 'vitest';

class NoSizes implements ResizeObserver {
  observe(): void {
    return undefined;
  }
  unobserve(): void {
    return undefined;
  }
  disconnect(): void {
    return undefined;
  }
}

vi.stubGlobal('ResizeObserver', NoSizes);
window.matchMedia = query => Object.assign(new EventTarget(), { matches: false, media: query }) as MediaQueryList;
URL.createObjectURL = () => 'blob:';
