/** The reader's language: JupyterLab's translation, for the views and for what JupyterLab itself draws around them. */
import { nullTranslator, type ITranslator } from '@jupyterlab/translation';

import { translate } from './widget/i18n';

/** The name by which a language pack has the texts. */
const DOMAIN = 'tunelab';

let current: ITranslator = nullTranslator;

/** Lets all views speak JupyterLab's language from now on; each plugin calls it first. */
export function speak(translator: ITranslator | null): void {
  current = translator ?? nullTranslator;
  translate(translator?.load(DOMAIN) ?? null, translator?.languageCode);
}

/** What JupyterLab's own widgets and dialogs are to be given. */
export function translator(): ITranslator {
  return current;
}
