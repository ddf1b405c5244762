/** Functions that score: the user's own as the jobs kept them, and the presets with their options. */
import { useEffect, useState } from 'react';

import { CopyButton } from './Actions';
import { BackButton } from './BackButton';
import { formatDate } from './dates';
import { EvaluatorRow, Source, UsedInJobs } from './EvaluatorParts';
import { functionFacts, matches, type FunctionPage, type FunctionRow, type FunctionsTraits } from './evaluators';
import { FilterField } from './FilterField';
import { plainText } from './format';
import { trans } from './i18n';
import { LongList } from './LongList';
import { useTrait, type Message, type Model } from './model';
import { FactList, HeadRow, Reading, Section, VersionChoice } from './ModelParts';
import { useKept, useNavigation } from './route';
import { useOpened } from './useOpened';

interface PlaceProps {
  /** The key of the page on show, or null for the list. */
  readonly open: string | null;
  readonly back: string;
}

/** The place, once the kernel has answered. */
export function FunctionsPlace({ open, back }: PlaceProps) {
  const navigation = useNavigation();
  const opened = useOpened<FunctionsTraits>({ view: 'functions' }, 'functions');
  if (!opened.model) {
    return <Reading what={trans.__('Reading the functions…')} refused={opened.refused} />;
  }
  if (open === null) {
    return <List model={opened.model} />;
  }
  return (
    <div className="tunelab tunelab-list">
      <BackButton
        onBack={() => {
          navigation?.back();
        }}
      >
        {back}
      </BackButton>
      <Page key={open} model={opened.model} name={open} />
    </div>
  );
}

function List({ model }: { readonly model: Model<FunctionsTraits> }) {
  const rows = useTrait(model, 'functions');
  const [filter, setFilter] = useKept('evaluators/functions/filter', '');
  const found = rows.filter(row => matches(filter, [row.name, ...functionFacts(row), row.says]));
  const own = found.filter(row => row.kind === 'function');
  return (
    <div className="tunelab tunelab-list tunelab-models">
      <FilterField
        label={trans.__('Filter the functions')}
        placeholder={trans.__('Filter by name, rule, “preset”…')}
        text={filter}
        onText={setFilter}
      />
      {rows.length > 0 && found.length === 0 && (
        <p className="tunelab-empty" role="status">
          {trans.__('No function matches “%1”.', filter)}
        </p>
      )}
      {rows.every(row => row.kind === 'preset') && filter === '' && (
        <div className="tunelab-empty">
          <p>{trans.__('No functions of your own yet.')}</p>
          <p>
            {trans.__(
              'Write def reward(prompt, completion, **row) in a notebook, and give it to a customization as reward, or to an evaluation as scorer: it is kept with the job and shown here.'
            )}
          </p>
        </div>
      )}
      {own.length > 0 && <Rows kind="function" name={trans.__('Your functions')} rows={own} />}
      {found.length > own.length && (
        <Rows kind="preset" name={trans.__('Presets')} rows={found.filter(row => row.kind === 'preset')} />
      )}
    </div>
  );
}

interface RowsProps {
  readonly kind: FunctionRow['kind'];
  readonly name: string;
  readonly rows: readonly FunctionRow[];
}

function Rows({ kind, name, rows }: RowsProps) {
  const navigation = useNavigation();
  return (
    <>
      <h3>{name}</h3>
      <LongList label={name} name={`evaluators/functions/${kind}`} rows={rows} keyOf={row => row.key}>
        {row => (
          <EvaluatorRow
            label={row.name}
            versions={row.versions}
            facts={functionFacts(row)}
            says={row.says}
            onOpen={() => {
              navigation?.go({ page: 'function', name: row.key });
            }}
          />
        )}
      </LongList>
    </>
  );
}

function Page({ model, name }: { readonly model: Model<FunctionsTraits>; readonly name: string }) {
  const [page, setPage] = useState<FunctionPage | null>(null);
  const [refused, setRefused] = useState('');
  const [digest, setDigest] = useState<string | null>(null);
  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'function' && message.name === name && message.digest === digest) {
        setPage(message);
      } else if (message.type === 'function_refused' && message.name === name) {
        setRefused(plainText(message.reason));
      }
    };
    model.on('msg:custom', heard);
    model.send({ type: 'function', name, digest });
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model, name, digest]);
  return page ? (
    <Card page={page} onDigest={setDigest} />
  ) : (
    <Reading what={trans.__('Reading the function…')} refused={refused} />
  );
}

interface CardProps {
  readonly page: FunctionPage;
  readonly onDigest: (digest: string) => void;
}

function Card({ page, onDigest }: CardProps) {
  const navigation = useNavigation();
  const isPreset = page.kind === 'preset';
  const name = plainText(page.function);
  const shown = page.versions.find(({ digest }) => digest === page.shown);
  return (
    <section
      className="tunelab-card tunelab-evaluator-card"
      role="region"
      aria-label={isPreset ? trans.__('Preset %1', name) : trans.__('Function %1', name)}
    >
      <HeadRow
        name={name}
        choice={
          <VersionChoice
            versions={page.versions.map(({ digest, version }) => ({ value: digest, version }))}
            value={page.shown ?? ''}
            onValue={onDigest}
          />
        }
      >
        <CopyButton text={page.cell} label={trans.__('Copy as cell')} />
        {page.source !== null && <CopyButton text={page.source} label={trans.__('Copy the code')} />}
        <span className="tunelab-steering">
          <button
            type="button"
            onClick={() => {
              const spec = { method: 'scorer', scorer: [page.scorer] };
              navigation?.go({ page: 'evaluate', from: { spec } });
            }}
          >
            {trans.__('Use in evaluation…')}
          </button>
          <button
            type="button"
            className="tunelab-primary"
            onClick={() => {
              navigation?.go({ page: 'customize', from: { spec: { technique: 'rlvr', reward: page.reward } } });
            }}
          >
            {trans.__('Use in customization…')}
          </button>
        </span>
      </HeadRow>
      <FactList
        facts={[
          [trans.__('From'), isPreset ? trans.__('Preset') : trans.__('Yours')],
          [trans.__('First used'), shown ? formatDate(shown.first) : null],
          [trans.__('Digest'), shown ? <code key="digest">{shown.digest.slice(0, 12)}</code> : null]
        ]}
      />
      {page.says && <p className="tunelab-model-note tunelab-evaluator-says">{plainText(page.says)}</p>}
      {page.options.length > 0 && (
        <Section name={trans.__('Options')}>
          <table className="tunelab-model-table" aria-label={trans.__('Options')}>
            <thead>
              <tr>
                <th scope="col">{trans.__('Option')}</th>
                <th scope="col">{trans.__('What it does')}</th>
              </tr>
            </thead>
            <tbody>
              {page.options.map(({ name: option, help, required }) => (
                <tr key={option}>
                  <th scope="row">
                    <code>{option}</code>
                  </th>
                  <td>
                    {plainText(help)}
                    {required && <span className="tunelab-subject"> {trans.__('(needed)')}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Section>
      )}
      {page.source !== null && (
        <Section name={trans.__('Code')}>
          {page.source ? (
            <Source text={page.source} name={trans.__('Code')} />
          ) : (
            <p className="tunelab-subject">{trans.__('The file is gone from the folder of its job.')}</p>
          )}
        </Section>
      )}
      <UsedInJobs jobs={page.jobs} />
    </section>
  );
}
