/** The models' place: custom models, the newest first, and base models to make them from. */
import { Fragment } from 'react';

import { techniqueName } from './datasets';
import { formatDay } from './dates';
import { FilterField } from './FilterField';
import { plainText } from './format';
import { trans } from './i18n';
import { LongList } from './LongList';
import { useTrait, type Model } from './model';
import {
  chosen,
  factsOf,
  memoryOf,
  scoreText,
  whereText,
  type BaseRow,
  type CustomRow,
  type ModelsTraits,
  type Shown
} from './models';
import { useKept, useNavigation } from './route';

/** The list. */
export function ModelsPlace({ model }: { readonly model: Model<ModelsTraits> }) {
  const models = useTrait(model, 'models');
  const [search, setSearch] = useKept('models/search', '');
  const [shown, setShown] = useKept<Shown>('models/shown', 'all');
  const found = chosen(models, shown, search);
  const custom = found.filter(row => row.kind === 'custom');
  const bases = found.filter(row => row.kind === 'base');
  const hasCustom = models.some(row => row.kind === 'custom');
  const isFiltered = search.trim() !== '';
  return (
    <div className="tunelab tunelab-list tunelab-models">
      <FilterField
        label={trans.__('Filter the models')}
        placeholder={trans.__('Filter by name, base, licence…')}
        text={search}
        onText={setSearch}
      />
      <Filters shown={shown} onShown={setShown} />
      {!hasCustom && !isFiltered && (shown === 'all' || shown === 'custom') && (
        <div className="tunelab-empty">
          <p>{trans.__('No custom models yet.')}</p>
          <p>
            {shown === 'all'
              ? trans.__('Choose a base model below and press Customize…')
              : trans.__('Choose a base model under Base and press Customize…')}
          </p>
        </div>
      )}
      {found.length === 0 && (isFiltered || hasCustom) && (
        <p className="tunelab-empty" role="status">
          {isFiltered ? trans.__('No model matches “%1”.', search) : trans.__('None.')}
        </p>
      )}
      {custom.length > 0 && (
        <>
          <h3>{trans.__('Custom models')}</h3>
          <LongList name="models/custom" label={trans.__('Custom models')} rows={custom} keyOf={row => row.name}>
            {row => <CustomItem row={row} />}
          </LongList>
        </>
      )}
      {bases.length > 0 && (
        <>
          <h3>{trans.__('Base models')}</h3>
          <LongList name="models/base" label={trans.__('Base models')} rows={bases} keyOf={row => row.name}>
            {row => <BaseItem row={row} />}
          </LongList>
        </>
      )}
    </div>
  );
}

function Filters({ shown, onShown }: { readonly shown: Shown; readonly onShown: (shown: Shown) => void }) {
  const names: readonly (readonly [Shown, string])[] = [
    ['all', trans.__('All')],
    ['custom', trans.__('Custom')],
    ['base', trans.__('Base')],
    ['here', trans.__('Here')]
  ];
  return (
    <div className="tunelab-models-filters" role="group" aria-label={trans.__('Which models')}>
      {names.map(([key, name]) => (
        <button
          key={key}
          type="button"
          aria-pressed={shown === key}
          title={key === 'here' ? trans.__('What needs no download') : undefined}
          onClick={() => {
            onShown(key);
          }}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

function CustomItem({ row }: { readonly row: CustomRow }) {
  const navigation = useNavigation();
  const label = `${row.name}@${row.version}`;
  return (
    <button
      type="button"
      className="tunelab-row"
      data-model={label}
      data-tone="busy"
      onClick={() => {
        navigation?.go({ page: 'model', model: label });
      }}
    >
      <span className="tunelab-dot" aria-hidden="true" />
      <span className="tunelab-row-text">
        <span className="tunelab-row-head">
          <b title={label}>{plainText(label)}</b>
          {row.versions.length > 1 && (
            <span className="tunelab-subject">{trans._n('%1 version', '%1 versions', row.versions.length)}</span>
          )}
        </span>
        <Line parts={[techniqueName(row.technique), trans.__('from %1', row.base), formatDay(row.created)]} />
        {row.scores.length > 0 && <Line parts={row.scores.map(scoreText)} />}
      </span>
    </button>
  );
}

function BaseItem({ row }: { readonly row: BaseRow }) {
  const navigation = useNavigation();
  const memory = memoryOf(row);
  const licence = row.gated && row.here === '' ? [trans.__('to be accepted')] : [];
  const fits = row.memory.lora?.fits ?? true;
  return (
    <button
      type="button"
      className="tunelab-row"
      data-base={row.name}
      data-tone={row.here ? 'good' : 'calm'}
      onClick={() => {
        navigation?.go({ page: 'base', model: row.name });
      }}
    >
      <span className="tunelab-dot" aria-hidden="true" />
      <span className="tunelab-row-text">
        <span className="tunelab-row-head">
          <b title={row.hub_id ?? row.name}>{plainText(row.name)}</b>
          <span className="tunelab-subject tunelab-models-where" title={whereText(row)}>
            {row.here ? trans.__('here') : trans.__('to download')}
          </span>
        </span>
        <Line parts={[...factsOf(row), ...licence]} />
        {memory.length > 0 && <Line parts={memory} />}
        {!fits && <span className="tunelab-models-short">{trans.__('More memory than is free here')}</span>}
      </span>
    </button>
  );
}

/** Parts that wrap between them and not within. */
function Line({ parts }: { readonly parts: readonly string[] }) {
  return (
    <span className="tunelab-subject">
      {parts.map((part, place) => (
        <Fragment key={place}>
          {place > 0 && ' · '}
          <span className="tunelab-models-part">{plainText(part)}</span>
        </Fragment>
      ))}
    </span>
  );
}
