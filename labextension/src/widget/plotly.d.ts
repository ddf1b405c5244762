/** plotly's basic bundle has plotly's types. */
declare module 'plotly.js-basic-dist-min' {
  export * from 'plotly.js';
}
