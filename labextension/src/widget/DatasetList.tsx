/** The workspace's datasets, the newest first, in the side panel; a click opens one in the list's place. */
import { useEffect, useState } from 'react';

import { count, formatDay, labelOf, techniqueName } from './datasets';
import { DatasetView } from './DatasetView';
import { plainText } from './format';
import { trans } from './i18n';
import { LongList } from './LongList';
import { useTrait, type DatasetRow, type DatasetsTraits, type DatasetTraits, type Model } from './model';
import type { Shell } from './shell';

interface DatasetListProps {
  readonly model: Model<DatasetsTraits>;
  readonly shell: Shell;
  /** `NAME@VERSION` of what is open in the list's place. */
  readonly open: string | null;
  readonly onOpen: (dataset: string | null) => void;
  /** What the way back is called. */
  readonly back?: string;
}

/** The list, or the version that was opened from it. */
export function DatasetList({ model, shell, open, onOpen, back = trans.__('All datasets') }: DatasetListProps) {
  const datasets = useTrait(model, 'datasets');
  const [filter, setFilter] = useState('');
  // A version that was deleted meanwhile gives the list back.
  const isThere = datasets.some(({ name, versions }) => versions.some(version => labelOf({ name, version }) === open));
  if (open !== null && isThere) {
    return (
      <div className="tunelab tunelab-list">
        <button
          type="button"
          className="tunelab-plain tunelab-back"
          autoFocus
          onClick={() => {
            onOpen(null);
          }}
        >
          ‹ {back}
        </button>
        <OpenedDataset key={open} dataset={open} shell={shell} onOpen={onOpen} />
      </div>
    );
  }
  const wanted = filter.trim().toLowerCase();
  const shown = datasets.filter(dataset => searchable(dataset).includes(wanted));
  return (
    <div className="tunelab tunelab-list">
      {datasets.length > 0 && (
        <input
          type="search"
          className="tunelab-filter"
          aria-label="Filter the datasets"
          placeholder="Filter by name, technique, source…"
          value={filter}
          onChange={event => {
            setFilter(event.target.value);
          }}
        />
      )}
      {datasets.length === 0 && (
        <div className="tunelab-empty">
          <p>No datasets yet.</p>
          <p>
            Create one from a file of rows (JSONL, JSON, CSV, TSV or Parquet), or in a notebook with{' '}
            <code>tl.Dataset.create</code>.
          </p>
        </div>
      )}
      {datasets.length > 0 && shown.length === 0 && <p className="tunelab-empty">No dataset matches “{filter}”.</p>}
      <LongList label="Datasets" rows={shown} keyOf={dataset => dataset.name}>
        {dataset => (
          <ListRow
            dataset={dataset}
            onOpen={() => {
              onOpen(labelOf(dataset));
            }}
          />
        )}
      </LongList>
    </div>
  );
}

function ListRow({ dataset, onOpen }: { readonly dataset: DatasetRow; readonly onOpen: () => void }) {
  const { technique, rows, warnings, versions } = dataset;
  const facts = [techniqueName(technique), count(rows, 'row'), formatDay(dataset.created)];
  const trouble = warnings > 0 ? count(warnings, 'warning') : '';
  const label = plainText(labelOf(dataset));
  return (
    <button
      type="button"
      className="tunelab-row"
      data-dataset={labelOf(dataset)}
      data-tone={trouble ? 'warn' : 'good'}
      onClick={onOpen}
    >
      <span className="tunelab-dot" aria-hidden="true" />
      <span className="tunelab-row-text">
        <span className="tunelab-row-head">
          <b title={label}>{label}</b>
          {versions.length > 1 && <span className="tunelab-subject">{versions.length} versions</span>}
        </span>
        <span className="tunelab-subject">{facts.map(fact => fact.replace(/ /g, '\u00a0')).join('\u00a0· ')}</span>
        <span className="tunelab-subject tunelab-one-line" title={plainText(dataset.source)}>
          {plainText(shortSource(dataset.source))}
        </span>
        {trouble && <span className="tunelab-row-trouble">{trouble}</span>}
      </span>
    </button>
  );
}

/** A file by its name alone: in the panel there is no room for its folders. */
function shortSource(source: string): string {
  return source.startsWith('/') ? (source.split('/').pop() ?? source) : source;
}

function searchable({ name, technique, source, creator, version }: DatasetRow): string {
  return [`${name}@${version}`, technique, source, creator].join(' ').toLowerCase();
}

interface OpenedProps {
  readonly dataset: string;
  readonly shell: Shell;
  readonly onOpen: (dataset: string | null) => void;
}

/** One version's view on a model of its own, which is closed with the view. */
function OpenedDataset({ dataset, shell, onOpen }: OpenedProps) {
  const [model, setModel] = useState<Model<DatasetTraits> | null>(null);
  const [refused, setRefused] = useState('');
  useEffect(() => {
    const opened = shell.openDataset(dataset);
    const ready = () => {
      setModel(opened);
    };
    opened.on('change:report', ready);
    opened.on('refused', setRefused);
    return () => {
      opened.off('change:report', ready);
      opened.off('refused', setRefused);
      opened.close();
      setModel(null);
    };
  }, [dataset, shell]);
  return model ? (
    <DatasetView
      model={model}
      shell={shell}
      canOpenTab
      onVersion={onOpen}
      onDeleted={() => {
        onOpen(null);
      }}
    />
  ) : (
    <p className="tunelab-empty">{plainText(refused) || 'Reading the report…'}</p>
  );
}
