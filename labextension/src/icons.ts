/** The icons of the extension; `jp-icon3` lets them take the theme's colour. */
import { LabIcon } from '@jupyterlab/ui-components';

/** Three faders: a model, tuned. */
export const customizeIcon = new LabIcon({
  name: 'tunelab:customize',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M5 3h2v9H5zM5 18h2v3H5zM11 3h2v3h-2zM11 12h2v9h-2zM17 3h2v8h-2zM17 17h2v4h-2z"/>
    <circle cx="6" cy="15" r="2.5"/>
    <circle cx="12" cy="9" r="2.5"/>
    <circle cx="18" cy="14" r="2.5"/>
  </g>
</svg>`
});
