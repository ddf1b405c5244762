/** A base model: what is known of it, what each technique takes on this machine, and what was made from it. */
import { CopyButton } from './Actions';
import { techniqueName } from './datasets';
import { formatBytes, formatNumber, plainText } from './format';
import { trans } from './i18n';
import { LineageSection } from './LineageView';
import { useTrait, type Model } from './model';
import { Columns, FactList, HeadRow, MadeList, Reading, Section } from './ModelParts';
import { bytes, factsOf, whereText, type BasePageData, type Need } from './models';
import { useNavigation } from './route';
import { useOpened } from './useOpened';

interface Traits {
  page: BasePageData;
}

/** The page, once the kernel has answered. */
export function BasePage({ model }: { readonly model: string }) {
  const opened = useOpened<Traits>({ view: 'base', model }, 'page');
  return opened.model ? (
    <Opened model={opened.model} />
  ) : (
    <Reading what={trans.__('Reading the model…')} refused={opened.refused} />
  );
}

function Opened({ model }: { readonly model: Model<Traits> }) {
  const page = useTrait(model, 'page');
  const navigation = useNavigation();
  const name = plainText(page.name);
  return (
    <div className="tunelab">
      <section
        className="tunelab-card tunelab-model-card"
        role="region"
        aria-label={trans.__('Base model %1', name)}
        data-tone={page.here ? 'good' : 'calm'}
      >
        <HeadRow name={name} subject={factsOf(page).join(' · ')}>
          <CopyButton text={page.cell} label={trans.__('Copy as cell')} />
          <span className="tunelab-steering">
            <button
              type="button"
              onClick={() => {
                navigation?.go({ page: 'evaluate', from: { spec: { models: [page.name] } } });
              }}
            >
              {trans.__('Evaluate…')}
            </button>
            <button
              type="button"
              className="tunelab-primary"
              onClick={() => {
                navigation?.go({ page: 'customize', from: { spec: { model: page.name } } });
              }}
            >
              {trans.__('Customize…')}
            </button>
          </span>
        </HeadRow>
        {page.gated && !page.here && (
          <p className="tunelab-block tunelab-model-gated" data-tone="warn">
            {trans.__(
              'Its licence is to be accepted once at huggingface.co/%1, logged in; then set HF_TOKEN or run “hf auth login”.',
              page.hub_id ?? ''
            )}
          </p>
        )}
        <Facts page={page} />
        {page.estimates.length > 0 && <Estimates page={page} />}
        <Section name={trans.__('Made from it')}>
          {page.made.length > 0 ? (
            <MadeList made={page.made} name={trans.__('Made from %1', name)} />
          ) : (
            <p className="tunelab-subject">{trans.__('Nothing yet. Customize… makes the first.')}</p>
          )}
        </Section>
        {page.made.length > 0 && <LineageSection of={page.name} />}
      </section>
    </div>
  );
}

function Facts({ page }: { readonly page: BasePageData }) {
  const { shape } = page;
  const template = page.chat_template === null ? null : page.chat_template ? trans.__('yes') : trans.__('no');
  return (
    <FactList
      facts={[
        [trans.__('Parameters'), page.params === null ? null : formatNumber(page.params)],
        [trans.__('Context'), page.context === null ? null : trans.__('%1 tokens', formatNumber(page.context))],
        [trans.__('Licence'), plainText(page.licence)],
        [trans.__('Chat template'), template],
        [trans.__('Techniques'), page.techniques.map(techniqueName).join(', ')],
        [trans.__('Files'), whereText(page)],
        [trans.__('Disk'), page.disk_bytes === null ? null : formatBytes(page.disk_bytes)],
        [trans.__('On the hub'), page.hub_id === null ? null : <code key="hub">{plainText(page.hub_id)}</code>],
        [trans.__('Layers'), shape && trans.__('%1 of width %2', shape.layers, formatNumber(shape.hidden ?? null))],
        [
          trans.__('Experts'),
          shape?.experts ? trans.__('%1, of which %2 at a time', shape.experts, shape.active) : null
        ],
        [trans.__('Vocabulary'), shape && formatNumber(shape.vocab ?? null)]
      ]}
    />
  );
}

function Estimates({ page }: { readonly page: BasePageData }) {
  return (
    <Section name={trans.__('Memory on this machine')}>
      <table
        role="table"
        className="tunelab-model-table tunelab-model-settings"
        aria-label={trans.__('Memory by technique')}
      >
        <Columns names={[trans.__('Technique'), trans.__('LoRA'), trans.__('Full')]} />
        <tbody role="rowgroup">
          {page.estimates.map(({ technique, lora, full, batch_rows, max_length }) => (
            <tr
              role="row"
              key={technique}
              title={trans.__('%1 rows of %2 tokens at a time', batch_rows, formatNumber(max_length))}
            >
              <th role="rowheader" scope="row">
                {techniqueName(technique)}
              </th>
              <Range need={lora} />
              <Range need={full} />
            </tr>
          ))}
        </tbody>
      </table>
      <p className="tunelab-subject">
        {trans.__(
          '%1 are free now. Estimated in %2 for the recipe’s batches: from activations computed twice to rows of the greatest length. A dry run measures it.',
          bytes(page.free),
          page.dtype
        )}
      </p>
    </Section>
  );
}

function Range({ need }: { readonly need: Need | null }) {
  if (!need) {
    return <td role="cell">—</td>;
  }
  return (
    <td role="cell" data-fits={need.fits}>
      {/* A word joiner: no line ends within the figures. */}
      {`${bytes(need.least).replace(/ GB$/, '')}–\u2060${bytes(need.most)}`}
      {!need.fits && <span className="tunelab-models-short"> {trans.__('too much')}</span>}
    </td>
  );
}
