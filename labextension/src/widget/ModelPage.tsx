/** One version of a custom model: what it is, how it came to be, how it was judged, and what can be done with it. */
import { useEffect, useRef, useState } from 'react';

import { CopyButton, NoticeBlock, type Notice } from './Actions';
import { Charts } from './Charts';
import { curvesOf } from './curves';
import { techniqueName } from './datasets';
import { formatDate } from './dates';
import { formatBytes, plainText } from './format';
import { trans } from './i18n';
import { LogTail } from './JobView';
import { LineageSection } from './LineageView';
import { useTrait, type JobTraits, type Model } from './model';
import {
  byNumber,
  Evaluations,
  FactList,
  HeadRow,
  MadeList,
  PageLink,
  Reading,
  Section,
  Settings,
  VersionChoice
} from './ModelParts';
import type { ModelPageData } from './models';
import { useNavigation, type Route } from './route';
import { useShell, type Shell } from './shell';
import { useOpened } from './useOpened';

/** From this width on there is room for the lineage, in pixels. */
const WIDE_PX = 560;

interface Traits {
  page: ModelPageData;
}

/** The page, once the kernel has answered. */
export function ModelPage({ model }: { readonly model: string }) {
  const opened = useOpened<Traits>({ view: 'model', model }, 'page');
  return opened.model ? (
    <Opened model={opened.model} />
  ) : (
    <Reading what={trans.__('Reading the model…')} refused={opened.refused} />
  );
}

function Opened({ model }: { readonly model: Model<Traits> }) {
  const page = useTrait(model, 'page');
  const shell = useShell();
  const [notice, setNotice] = useState<Notice | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [isWide, setWide] = useState<boolean | null>(null);
  useEffect(() => {
    // As it opens: what the reader folds or unfolds later stays so.
    setWide((frame.current?.offsetWidth ?? 0) >= WIDE_PX);
  }, []);
  return (
    <div className="tunelab" ref={frame}>
      <section
        className="tunelab-card tunelab-model-card"
        role="region"
        aria-label={trans.__('Model %1', plainText(page.model))}
      >
        <HeadRow
          name={plainText(page.model)}
          choice={<Versions page={page} />}
          subject={[techniqueName(page.technique), page.base_name, page.adapter].map(plainText).join(' · ')}
        >
          <Actions page={page} onNotice={setNotice} />
        </HeadRow>
        {notice && (
          <NoticeBlock
            notice={notice}
            onClose={() => {
              setNotice(null);
            }}
          />
        )}
        {!page.is_here && (
          <p className="tunelab-block" data-tone="bad" role="alert">
            {trans.__('Its files are gone (%1). Make it again from its spec.', plainText(page.path))}
          </p>
        )}
        <Facts page={page} />
        {page.evaluations.length > 0 && (
          <Section name={trans.__('Evaluations')}>
            <Evaluations evaluations={page.evaluations} model={page.model} />
          </Section>
        )}
        {page.has_job && shell ? (
          <JobCharts key={page.job} page={page} shell={shell} />
        ) : (
          <p className="tunelab-model-note">
            {trans.__('The folder of its job %1 is gone, and with it charts, log and settings.', plainText(page.job))}
          </p>
        )}
        {page.checkpoints.length > 0 && <Checkpoints page={page} />}
        {page.derived.length > 0 && (
          <Section name={trans.__('Made from it')}>
            <MadeList made={page.derived} name={trans.__('Made from %1', plainText(page.model))} />
          </Section>
        )}
        {isWide !== null && <LineageSection key={page.model} of={`model:${page.model}`} isOpen={isWide} />}
        {page.settings.length > 0 && <Settings settings={page.settings} />}
      </section>
    </div>
  );
}

function Versions({ page }: { readonly page: ModelPageData }) {
  const navigation = useNavigation();
  return (
    <VersionChoice
      versions={byNumber(page.versions)}
      value={String(page.version)}
      onValue={version => {
        // In this page's place, so that the way back is not through every version.
        navigation?.back();
        navigation?.go({ page: 'model', model: `${page.name}@${version}` });
      }}
    />
  );
}

/** The form that compares a model or a checkpoint with the base, by the questions that were asked last. */
function evaluation({ base, evaluations }: ModelPageData, model: string): Route {
  const asked = evaluations.find(({ method, dataset }) => method !== 'benchmark' && dataset !== '');
  return { page: 'evaluate', from: { spec: { models: [base, model], ...(asked && { dataset: asked.dataset }) } } };
}

interface ActionsProps {
  readonly page: ModelPageData;
  readonly onNotice: (notice: Notice | null) => void;
}

function Actions({ page, onNotice }: ActionsProps) {
  const navigation = useNavigation();
  const shell = useShell();
  const openMLflow = async () => {
    onNotice(null);
    const refused = shell ? await shell.openMLflow(page.mlflow, page.model) : null;
    if (refused !== null) {
      onNotice({ text: refused, command: page.mlflow.command });
    }
  };
  return (
    <>
      <CopyButton text={page.cell} label={trans.__('Copy as cell')} />
      <button type="button" disabled={!shell} onClick={() => void openMLflow()}>
        {trans.__('Open in MLflow')}
      </button>
      {page.has_job && (
        <button
          type="button"
          onClick={() => {
            navigation?.go({ page: 'job', job: page.job });
          }}
        >
          {trans.__('Job')}
        </button>
      )}
      <span className="tunelab-steering">
        <button
          type="button"
          disabled={!page.is_here}
          onClick={() => {
            navigation?.go(evaluation(page, page.model));
          }}
        >
          {trans.__('Evaluate…')}
        </button>
        <button
          type="button"
          className="tunelab-primary"
          disabled={!page.is_here}
          title={trans.__('Customize it further, by the same technique or another')}
          onClick={() => {
            navigation?.go({ page: 'customize', from: { spec: { model: page.model, technique: page.technique } } });
          }}
        >
          {trans.__('Continue…')}
        </button>
      </span>
    </>
  );
}

function Facts({ page }: { readonly page: ModelPageData }) {
  const packages = Object.entries(page.packages).map(([name, version]) => `${name} ${version}`);
  return (
    <FactList
      facts={[
        [
          trans.__('Base model'),
          <PageLink key="base" route={{ page: 'base', model: page.base }}>
            {page.base_name}
          </PageLink>
        ],
        [
          trans.__('Continued from'),
          page.parent && (
            <PageLink key="parent" route={{ page: 'model', model: page.parent.replace(/:step-\d+$/, '') }}>
              {page.parent}
            </PageLink>
          )
        ],
        [
          trans.__('Dataset'),
          <PageLink key="data" route={{ page: 'dataset', dataset: page.dataset }}>
            {page.dataset}
          </PageLink>
        ],
        [trans.__('Created'), formatDate(page.created)],
        [trans.__('By'), page.user],
        [trans.__('Commit'), page.commit && <code key="commit">{page.commit.slice(0, 10)}</code>],
        [trans.__('Disk'), page.disk_bytes === null ? null : formatBytes(page.disk_bytes)],
        [trans.__('Packages'), packages.join(', ')],
        [trans.__('Files'), <code key="path">{plainText(page.path)}</code>]
      ]}
    />
  );
}

/** The charts and the log of the job that made it, on a model of their own that is closed with them. */
function JobCharts({ page, shell }: { readonly page: ModelPageData; readonly shell: Shell }) {
  const [model, setModel] = useState<Model<JobTraits> | null>(null);
  useEffect(() => {
    const opened = shell.openModel(page.job);
    const ready = () => {
      setModel(opened);
    };
    opened.on('change:snapshot', ready);
    return () => {
      opened.off('change:snapshot', ready);
      opened.close();
      setModel(null);
    };
  }, [page.job, shell]);
  return model && <JobParts model={model} />;
}

function JobParts({ model }: { readonly model: Model<JobTraits> }) {
  const job = useTrait(model, 'snapshot');
  return (
    <>
      <Charts job={job.id} technique={job.technique} curves={curvesOf(model)} />
      {job.logs.length > 0 && <LogTail logs={job.logs} />}
    </>
  );
}

function Checkpoints({ page }: { readonly page: ModelPageData }) {
  const navigation = useNavigation();
  return (
    <Section name={trans.__('Checkpoints')}>
      <ul className="tunelab-model-list" aria-label={trans.__('Checkpoints')}>
        {page.checkpoints.map(({ step, label }) => (
          <li key={step}>
            <span>{trans.__('Step %1', step)}</span>
            <span className="tunelab-model-item-actions">
              <button
                type="button"
                className="tunelab-plain"
                aria-label={trans.__('Continue from step %1', step)}
                onClick={() => {
                  navigation?.go({ page: 'customize', from: { spec: { model: label, technique: page.technique } } });
                }}
              >
                {trans.__('Continue from')}
              </button>
              <button
                type="button"
                className="tunelab-plain"
                aria-label={trans.__('Evaluate step %1', step)}
                onClick={() => {
                  navigation?.go(evaluation(page, label));
                }}
              >
                {trans.__('Evaluate')}
              </button>
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}
