/** Reward prompts: the list of them, one version with the jobs that it scored, or the form that makes one. */
import { useEffect, useState } from 'react';

import { CopyButton, NoticeBlock } from './Actions';
import { BackButton } from './BackButton';
import { formatDate } from './dates';
import { EvaluatorRow, Source, UsedInJobs } from './EvaluatorParts';
import {
  EMPTY_PROMPT,
  matches,
  promptDraft,
  promptFacts,
  type PromptDraft,
  type PromptPage,
  type PromptRow,
  type PromptsTraits
} from './evaluators';
import { FilterField } from './FilterField';
import { plainText } from './format';
import { trans } from './i18n';
import { LongList } from './LongList';
import { useTrait, type Message, type Model } from './model';
import { byNumber, FactList, HeadRow, Reading, Section, VersionChoice } from './ModelParts';
import { PromptForm } from './PromptForm';
import { useKept, useNavigation } from './route';
import { useOpened } from './useOpened';

interface PlaceProps {
  /** `NAME` or `NAME@VERSION` of the page on show, or null for the list. */
  readonly open: string | null;
  readonly back: string;
}

/** The place, once the kernel has answered. */
export function PromptsPlace({ open, back }: PlaceProps) {
  const opened = useOpened<PromptsTraits>({ view: 'prompts' }, 'prompts');
  return opened.model ? (
    <Opened model={opened.model} open={open} back={back} />
  ) : (
    <Reading what={trans.__('Reading the reward prompts…')} refused={opened.refused} />
  );
}

function Opened({ model, open, back }: PlaceProps & { readonly model: Model<PromptsTraits> }) {
  const navigation = useNavigation();
  const rows = useTrait(model, 'prompts');
  const [kept, setDraft] = useKept<PromptDraft | null>('evaluators/prompt', null);
  const [isBusy, setBusy] = useState(false);
  const [refused, setRefused] = useState('');
  const [note, setNote] = useState('');
  // A draft is shown where it was begun: a link to another prompt shows that prompt.
  const draft = kept && (open === null || kept.from === open) ? kept : null;
  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'prompt_kept') {
        setBusy(false);
        setRefused('');
        setDraft(null);
        setNote(message.note);
        if (message.prompt !== open) {
          // One page over the list: a version takes the place of another.
          if (open !== null) {
            navigation?.back();
          }
          navigation?.go({ page: 'prompt', prompt: message.prompt });
        }
      } else if (message.type === 'prompt_refused' && message.asked === 'keep_prompt') {
        setBusy(false);
        setRefused(plainText(message.reason));
      }
    };
    model.on('msg:custom', heard);
    return () => {
      model.off('msg:custom', heard);
    };
  });
  const begin = (next: PromptDraft | null) => {
    setRefused('');
    setNote('');
    setDraft(next);
  };
  if (draft) {
    return (
      <PromptForm
        draft={draft}
        rows={rows}
        isBusy={isBusy}
        refused={refused}
        onDraft={change => {
          setDraft(before => before && change(before));
        }}
        onKeep={({ name, template }) => {
          setBusy(true);
          setRefused('');
          model.send({ type: 'keep_prompt', name, template });
        }}
        onCancel={() => {
          begin(null);
        }}
      />
    );
  }
  if (open === null) {
    return <List model={model} rows={rows} onDraft={begin} />;
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
      {note && (
        <NoticeBlock
          notice={{ text: plainText(note) }}
          onClose={() => {
            setNote('');
          }}
        />
      )}
      <Page key={open} model={model} label={open} rows={rows} onDraft={begin} />
    </div>
  );
}

interface ListProps {
  readonly model: Model<PromptsTraits>;
  readonly rows: readonly PromptRow[];
  readonly onDraft: (draft: PromptDraft) => void;
}

function List({ model, rows, onDraft }: ListProps) {
  const navigation = useNavigation();
  const trouble = useTrait(model, 'trouble');
  const [filter, setFilter] = useKept('evaluators/prompts/filter', '');
  const shown = rows.filter(row => matches(filter, [labelOf(row), ...promptFacts(row), row.asks]));
  return (
    <>
      <div className="tunelab-side-actions">
        <button
          type="button"
          className="tunelab-primary"
          onClick={() => {
            onDraft(EMPTY_PROMPT);
          }}
        >
          {trans.__('New reward prompt')}
        </button>
      </div>
      <div className="tunelab tunelab-list">
        {trouble && (
          <p className="tunelab-block tunelab-metric-refused" data-tone="bad" role="alert">
            {plainText(trouble)}
          </p>
        )}
        <FilterField
          label={trans.__('Filter the reward prompts')}
          placeholder={trans.__('Filter by name, text, “yours”…')}
          text={filter}
          onText={setFilter}
        />
        {rows.length > 0 && shown.length === 0 && (
          <p className="tunelab-empty" role="status">
            {trans.__('No reward prompt matches “%1”.', filter)}
          </p>
        )}
        {rows.every(row => row.builtin) && filter === '' && (
          <p className="tunelab-empty">
            {trans.__('None of your own yet. Press New reward prompt, or open one below and begin with its text.')}
          </p>
        )}
        <LongList label={trans.__('Reward prompts')} name="evaluators/prompts" rows={shown} keyOf={row => row.name}>
          {row => (
            <EvaluatorRow
              label={labelOf(row)}
              versions={row.versions.length}
              facts={promptFacts(row)}
              says={row.asks}
              onOpen={() => {
                navigation?.go({ page: 'prompt', prompt: labelOf(row) });
              }}
            />
          )}
        </LongList>
      </div>
    </>
  );
}

interface PageProps {
  readonly model: Model<PromptsTraits>;
  readonly label: string;
  readonly rows: readonly PromptRow[];
  readonly onDraft: (draft: PromptDraft) => void;
}

function Page({ model, label, rows, onDraft }: PageProps) {
  const navigation = useNavigation();
  const [page, setPage] = useState<PromptPage | null>(null);
  const [refused, setRefused] = useState('');
  const name = label.replace(/@\d+$/, '');
  const row = rows.find(each => each.name === name);
  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'prompt' && message.prompt === label) {
        setPage(message);
      } else if (message.type === 'prompt_refused' && message.prompt === label) {
        setRefused(plainText(message.reason));
      }
    };
    model.on('msg:custom', heard);
    model.send({ type: 'prompt', prompt: label });
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model, label]);
  if (!page || !row) {
    return <Reading what={trans.__('Reading the reward prompt…')} refused={refused} />;
  }
  const version = label === name ? row.version : Number(label.slice(name.length + 1));
  return (
    <section
      className="tunelab-card tunelab-evaluator-card"
      role="region"
      aria-label={trans.__('Reward prompt %1', `${name}@${version}`)}
    >
      <HeadRow
        name={`${name}@${version}`}
        choice={
          <VersionChoice
            versions={byNumber(row.versions)}
            value={String(version)}
            onValue={wanted => {
              // In this page's place, so that the way back is not through every version.
              navigation?.back();
              navigation?.go({ page: 'prompt', prompt: `${name}@${wanted}` });
            }}
          />
        }
      >
        <CopyButton text={page.cell} label={trans.__('Copy as cell')} />
        <CopyButton text={page.python} label={trans.__('Copy as Python')} />
        <span className="tunelab-steering">
          <button
            type="button"
            onClick={() => {
              onDraft(promptDraft(page, row));
            }}
          >
            {row.builtin ? trans.__('New prompt from it') : trans.__('New version')}
          </button>
          <button
            type="button"
            className="tunelab-primary"
            onClick={() => {
              const reward = { prompt: `${name}@${version}` };
              navigation?.go({ page: 'customize', from: { spec: { technique: 'rlaif', reward } } });
            }}
          >
            {trans.__('Use in customization…')}
          </button>
        </span>
      </HeadRow>
      <FactList
        facts={[
          [trans.__('From'), row.builtin ? trans.__('Built in') : trans.__('Yours')],
          [trans.__('Created'), page.created && formatDate(page.created)],
          [
            trans.__('Needs'),
            page.template.includes('ground_truth') ? trans.__('A ground truth') : trans.__('No ground truth')
          ]
        ]}
      />
      <Section name={trans.__('What the feedback model reads')}>
        <Source text={page.template} name={trans.__('Template')} />
      </Section>
      <UsedInJobs jobs={page.jobs} />
    </section>
  );
}

function labelOf(row: PromptRow): string {
  return `${row.name}@${row.version}`;
}
