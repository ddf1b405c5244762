/** The judge's metrics in the side panel: the list of them, and in its place one metric or the form that makes one. */
import { useEffect, useRef, useState } from 'react';

import { NoticeBlock } from './Actions';
import { BackButton } from './BackButton';
import { formatDay } from './dates';
import { FilterField } from './FilterField';
import { capitalise, plainText } from './format';
import { trans } from './i18n';
import {
  commandOf,
  EMPTY,
  factsOf,
  readFile,
  searchable,
  type Draft,
  type MetricRow,
  type MetricsTraits
} from './judgemetrics';
import { LongList } from './LongList';
import { MetricForm } from './MetricForm';
import { MetricPageView } from './MetricPageView';
import { useTrait, type Message, type Model } from './model';
import { useKept } from './route';

/** What is on show in the place; it outlives the kernel, so that nothing that was typed is lost. */
export interface MetricsState {
  /** `NAME@VERSION` of what is open in the list's place. */
  readonly open: string | null;
  /** What is being written. */
  readonly draft: Draft | null;
}

/** What is being waited for, and what was answered. */
interface Asking {
  readonly busy: string;
  readonly refused: string;
  readonly notes: readonly string[];
}

/** A file with several metrics, of which one is to be chosen. */
interface Choice {
  readonly file: string;
  readonly names: readonly string[];
  readonly text: string;
}

const QUIET: Asking = { busy: '', refused: '', notes: [] };

interface MetricsPlaceProps {
  readonly model: Model<MetricsTraits>;
  readonly state: MetricsState;
  /** What the way back from a metric is called. */
  readonly back?: string;
  readonly onState: (change: (before: MetricsState) => MetricsState) => void;
}

/** The list, the page or the form. */
export function MetricsPlace({ model, state, back = trans.__('All metrics'), onState }: MetricsPlaceProps) {
  const metrics = useTrait(model, 'metrics');
  const [asking, setAsking] = useState(QUIET);
  const [choice, setChoice] = useState<Choice | null>(null);
  // Of the last file, until it is known which of its metrics is meant.
  const text = useRef('');
  // The list leads back to the row by itself; from the form, to the button that opened it.
  const [wasWriting, setWasWriting] = useState(false);

  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'metric_kept') {
        setAsking({ ...QUIET, notes: message.notes });
        // What is written while a file is imported stays.
        onState(before =>
          before.draft && message.asked !== 'keep_metric' ? before : { open: message.metric, draft: null }
        );
      } else if (message.type === 'metric_choice') {
        setAsking(QUIET);
        setChoice({ file: message.file, names: message.names, text: text.current });
      } else if (message.type === 'metric_refused' && message.asked !== 'metric') {
        setAsking({ ...QUIET, refused: plainText(message.reason) });
      }
    };
    model.on('msg:custom', heard);
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model, onState]);

  const show = (next: MetricsState) => {
    setAsking(QUIET);
    setChoice(null);
    setWasWriting(state.draft !== null);
    onState(() => next);
  };
  const importText = (file: string, content: string, name: string | null) => {
    text.current = content;
    setChoice(null);
    setAsking({ ...QUIET, busy: trans.__('Importing %1…', plainText(file)) });
    model.send({ type: 'import_metric', file, text: content, name });
  };
  const importFile = async (file: File) => {
    const read = await readFile(file);
    if ('refused' in read) {
      setChoice(null);
      setAsking({ ...QUIET, refused: read.refused });
    } else {
      importText(file.name, read.text, null);
    }
  };

  if (state.draft) {
    return (
      <MetricForm
        draft={state.draft}
        rows={metrics}
        busy={asking.busy}
        refused={asking.refused}
        onDraft={change => {
          onState(before => (before.draft ? { ...before, draft: change(before.draft) } : before));
        }}
        onKeep={draft => {
          setAsking({ ...QUIET, busy: trans.__('Keeping the metric in MLflow…') });
          model.send(commandOf(draft));
        }}
        onCancel={() => {
          show({ ...state, draft: null });
        }}
      />
    );
  }
  const open = metrics.find(row => row.versions.some(version => `${row.name}@${version}` === state.open));
  const said = (
    <Said
      asking={asking}
      onClose={() => {
        setAsking(QUIET);
      }}
    />
  );
  if (open && state.open !== null) {
    return (
      // By its key it is another one than the list's, and takes the focus.
      <div key="page" className="tunelab tunelab-list">
        <BackButton
          onBack={() => {
            show({ open: null, draft: null });
          }}
        >
          {back}
        </BackButton>
        {said}
        <MetricPageView
          key={state.open}
          model={model}
          row={open}
          label={state.open}
          onOpen={label => {
            show({ open: label, draft: null });
          }}
          onDraft={draft => {
            show({ ...state, draft });
          }}
        />
      </div>
    );
  }
  return (
    <>
      <div key="actions" className="tunelab-side-actions">
        <button
          type="button"
          className="tunelab-primary"
          autoFocus={wasWriting}
          onClick={() => {
            show({ open: null, draft: EMPTY });
          }}
        >
          {trans.__('New metric')}
        </button>
        <FileButton isBusy={asking.busy !== ''} onFile={file => void importFile(file)} />
      </div>
      {said}
      {choice && (
        <WhichOne
          choice={choice}
          onChoose={name => {
            importText(choice.file, choice.text, name);
          }}
          onClose={() => {
            setChoice(null);
          }}
        />
      )}
      <List
        model={model}
        metrics={metrics}
        onOpen={label => {
          show({ open: label, draft: null });
        }}
      />
    </>
  );
}

/** What is waited for, why something was refused, and what there is to know of what was kept. */
function Said({ asking, onClose }: { readonly asking: Asking; readonly onClose: () => void }) {
  return (
    <>
      <p className="tunelab-busy" role="status">
        {asking.busy}
      </p>
      {asking.refused && (
        <p className="tunelab-block tunelab-metric-refused" data-tone="bad" role="alert">
          {asking.refused}
        </p>
      )}
      {asking.notes.length > 0 && (
        <NoticeBlock notice={{ text: asking.notes.map(plainText).join(' ') }} onClose={onClose} />
      )}
    </>
  );
}

/** A button that lets the reader choose a file of the own computer. */
function FileButton({ isBusy, onFile }: { readonly isBusy: boolean; readonly onFile: (file: File) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        type="button"
        disabled={isBusy}
        title={trans.__('A metric as SageMaker and Bedrock have it: %1', 'customMetricDefinition')}
        onClick={() => {
          input.current?.click();
        }}
      >
        {trans.__('Import JSON…')}
      </button>
      <input
        ref={input}
        type="file"
        hidden
        accept=".json,application/json"
        aria-label={trans.__('JSON file of a metric')}
        onChange={event => {
          const file = event.target.files?.[0];
          // The same file may be chosen again once it was mended.
          event.target.value = '';
          if (file) {
            onFile(file);
          }
        }}
      />
    </>
  );
}

interface WhichOneProps {
  readonly choice: Choice;
  readonly onChoose: (name: string) => void;
  readonly onClose: () => void;
}

function WhichOne({ choice, onChoose, onClose }: WhichOneProps) {
  const question = trans._n(
    '%2 holds %1 metric. Which one?',
    '%2 holds %1 metrics. Which one?',
    choice.names.length,
    plainText(choice.file)
  );
  return (
    <div className="tunelab-metric-choice" role="group" aria-label={question}>
      <p role="status">{question}</p>
      {choice.names.map((name, place) => (
        <button
          key={place}
          type="button"
          autoFocus={place === 0}
          onClick={() => {
            onChoose(name);
          }}
        >
          {plainText(name)}
        </button>
      ))}
      <button type="button" className="tunelab-plain" onClick={onClose}>
        {trans.__('None')}
      </button>
    </div>
  );
}

interface ListProps {
  readonly model: Model<MetricsTraits>;
  readonly metrics: readonly MetricRow[];
  readonly onOpen: (metric: string) => void;
}

function List({ model, metrics, onOpen }: ListProps) {
  const trouble = useTrait(model, 'trouble');
  const [filter, setFilter] = useKept('evaluators/metrics/filter', '');
  const wanted = filter.trim().toLowerCase();
  const shown = metrics.filter(row => searchable(row).includes(wanted));
  return (
    <div className="tunelab tunelab-list">
      {trouble && (
        <p className="tunelab-block tunelab-metric-refused" data-tone="bad" role="alert">
          {plainText(trouble)}
        </p>
      )}
      <FilterField
        label={trans.__('Filter the metrics')}
        placeholder={trans.__('Filter by name, scale, “%1”…', trans.__('yours'))}
        text={filter}
        onText={setFilter}
      />
      {metrics.length > 0 && shown.length === 0 && (
        <p className="tunelab-empty">{trans.__('No metric matches “%1”.', filter)}</p>
      )}
      <LongList label={trans.__('Metrics')} name="evaluators/metrics" rows={shown} keyOf={row => row.name}>
        {row => <ListRow row={row} onOpen={onOpen} />}
      </LongList>
    </div>
  );
}

function ListRow({ row, onOpen }: { readonly row: MetricRow; readonly onOpen: (metric: string) => void }) {
  const label = `${row.name}@${row.version}`;
  const [first = '', ...others] = factsOf(row);
  const facts = [capitalise(first), ...others, ...(row.created === null ? [] : [formatDay(row.created)])];
  return (
    <button
      type="button"
      className="tunelab-row"
      data-metric={label}
      onClick={() => {
        onOpen(label);
      }}
    >
      <span className="tunelab-row-text">
        <span className="tunelab-row-head">
          <b title={label}>{label}</b>
          {row.versions.length > 1 && (
            <span className="tunelab-subject">{trans._n('%1 version', '%1 versions', row.versions.length)}</span>
          )}
        </span>
        <span className="tunelab-subject">{facts.map(fact => fact.replace(/ /g, '\u00a0')).join('\u00a0· ')}</span>
        <span className="tunelab-subject tunelab-one-line" title={plainText(row.scale)}>
          {plainText(row.scale)}
        </span>
      </span>
    </button>
  );
}
