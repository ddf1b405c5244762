/** The workspace's datasets, the newest first, in the side panel; a click opens one in the list's place. */
import { useCallback } from 'react';

import { BackButton } from './BackButton';
import { labelOf, techniqueName } from './datasets';
import { formatDay } from './dates';
import { DatasetView } from './DatasetView';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { LongList } from './LongList';
import { useTrait, type DatasetRow, type DatasetsTraits, type DatasetTraits, type Model } from './model';
import { useKept } from './route';
import type { Shell } from './shell';
import { useOpened } from './useOpened';

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
  const [filter, setFilter] = useKept('datasets/filter', '');
  // A version that was deleted meanwhile gives the list back.
  const isThere = datasets.some(({ name, versions }) => versions.some(version => labelOf({ name, version }) === open));
  if (open !== null && isThere) {
    return (
      <div key="dataset" className="tunelab tunelab-list">
        <BackButton
          onBack={() => {
            onOpen(null);
          }}
        >
          {back}
        </BackButton>
        <OpenedDataset key={open} dataset={open} shell={shell} onOpen={onOpen} />
      </div>
    );
  }
  const wanted = filter.trim().toLowerCase();
  const shown = datasets.filter(dataset => searchable(dataset).includes(wanted));
  return (
    <div key="list" className="tunelab tunelab-list">
      {datasets.length > 0 && (
        <input
          type="search"
          className="tunelab-filter"
          aria-label={trans.__('Filter the datasets')}
          placeholder={trans.__('Filter by name, technique, source…')}
          value={filter}
          onChange={event => {
            setFilter(event.target.value);
          }}
        />
      )}
      {datasets.length === 0 && (
        <div className="tunelab-empty">
          <p>{trans.__('No datasets yet.')}</p>
          <p>
            {trans.__('Create one from a file of rows (JSONL, JSON, CSV, TSV or Parquet), or in a notebook with')}{' '}
            <code>tl.Dataset.create</code>.
          </p>
        </div>
      )}
      {datasets.length > 0 && shown.length === 0 && (
        <p className="tunelab-empty">{trans.__('No dataset matches “%1”.', filter)}</p>
      )}
      <LongList label={trans.__('Datasets')} name="datasets" rows={shown} keyOf={dataset => dataset.name}>
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
  // The number is grouped, as in figures everywhere.
  const size = trans._n('%2 row', '%2 rows', rows, formatNumber(rows));
  const facts = [techniqueName(technique), size, formatDay(dataset.created)];
  const trouble = warnings > 0 ? trans._n('%2 warning', '%2 warnings', warnings, formatNumber(warnings)) : '';
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
          {versions.length > 1 && (
            <span className="tunelab-subject">{trans._n('%1 version', '%1 versions', versions.length)}</span>
          )}
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
  const open = useCallback(() => shell.openDataset(dataset), [shell, dataset]);
  const { model, refused } = useOpened<DatasetTraits>({ view: 'dataset', dataset }, 'report', open);
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
    <p className="tunelab-empty">{refused || trans.__('Reading the report…')}</p>
  );
}
