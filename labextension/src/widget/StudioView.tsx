/** The Studio of a widget: the panel's view on lists that come over the widget's comm, and what is asked over it. */
import { useEffect, useState, useSyncExternalStore, type FormEvent, type KeyboardEvent } from 'react';

import { CreateView } from './CreateView';
import { trans } from './i18n';
import { NO_LISTS, OpenLists } from './lists';
import type { CreateTraits, MLflowLink } from './model';
import { PanelView, type Lists, type PanelState } from './PanelView';
import type { Location } from './route';
import { useOpened } from './useOpened';
import type { KernelState } from './Waiting';
import type { WidgetShell } from './widgetshell';

/** After so long without an answer the reader is told what may be the matter. */
const PATIENCE_MS = 10_000;

interface StudioViewProps {
  readonly shell: WidgetShell;
  readonly start: Location | undefined;
  readonly mlflow: MLflowLink;
}

/** The view. */
export function StudioView({ shell, start, mlflow }: StudioViewProps) {
  const [lists, setLists] = useState<Lists>(NO_LISTS);
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const opened = new OpenLists(
      asked => shell.open(asked),
      () => {
        setLists(opened.shown());
      }
    );
    const late = setTimeout(() => {
      setLate(true);
    }, PATIENCE_MS);
    return () => {
      clearTimeout(late);
      opened.close();
    };
  }, [shell]);
  const over = useSyncExternalStore(shell.onOver, shell.over);
  const kernel: KernelState = {
    kernel: trans.__('This notebook’s kernel'),
    ...(Object.values(lists).some(list => list !== null)
      ? { tone: 'good', sentence: null }
      : { tone: 'calm', sentence: waiting(isLate) }),
    action: null
  };
  const state: PanelState = { ...kernel, ...lists, mlflow };
  const isCovered = over.asks !== null || over.creates !== null;
  return (
    <div className="tunelab-studio" role="region" aria-label={trans.__('Studio')}>
      <div className="tunelab-studio-pages" hidden={isCovered}>
        <PanelView state={state} shell={shell} start={start} onNavigation={shell.follow} />
      </div>
      {over.creates !== null && (
        <div className="tunelab-studio-over" hidden={over.asks !== null}>
          <Creation key={over.creates} source={over.creates} shell={shell} kernel={kernel} />
        </div>
      )}
      {over.asks && <PathForm onPath={over.asks} />}
    </div>
  );
}

function waiting(isLate: boolean): string {
  return isLate
    ? trans.__('The kernel has not answered yet. When no other cell runs any more, run this cell again.')
    : trans.__('Asking the kernel…');
}

interface CreationProps {
  readonly source: string;
  readonly shell: WidgetShell;
  readonly kernel: KernelState;
}

/** The form that creates a dataset. */
function Creation({ source, shell, kernel }: CreationProps) {
  const { model, refused } = useOpened<CreateTraits>({ view: 'create', source }, 'form');
  const [onDone] = useState(() => (dataset: string | null) => {
    shell.created(dataset);
  });
  return <CreateView state={{ ...kernel, sentence: refused || kernel.sentence, model, onDone }} />;
}

/** Asks for a file by its path, where the host has no way to choose one. */
function PathForm({ onPath }: { readonly onPath: (path: string | null) => void }) {
  const [path, setPath] = useState('');
  const submit = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (path.trim() !== '') {
      onPath(path.trim());
    }
  };
  const leave = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      onPath(null);
    }
  };
  return (
    <form
      className="tunelab tunelab-studio-over tunelab-path"
      aria-label={trans.__('File')}
      onSubmit={submit}
      onKeyDown={leave}
    >
      <label>
        <span className="tunelab-label">{trans.__('Path of the file, as the kernel reads it')}</span>
        <input
          value={path}
          placeholder="data/rows.jsonl"
          autoFocus
          spellCheck={false}
          onKeyDown={event => {
            // A notebook takes the key for itself, so that no submit follows from it.
            if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
              submit(event);
            }
          }}
          onChange={event => {
            setPath(event.target.value);
          }}
        />
      </label>
      <p className="tunelab-subject">
        {trans.__('JSON Lines, JSON, CSV, TSV or Parquet; from the notebook’s folder, or from the root.')}
      </p>
      <div className="tunelab-actions">
        <button type="submit" className="tunelab-primary" disabled={path.trim() === ''}>
          {trans.__('Continue')}
        </button>
        <button
          type="button"
          onClick={() => {
            onPath(null);
          }}
        >
          {trans.__('Cancel')}
        </button>
      </div>
    </form>
  );
}
