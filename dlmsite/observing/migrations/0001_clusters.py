import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='ObservedCluster',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=48, unique=True)),
                ('masters', models.TextField(help_text='as they were given, joined by commas')),
                ('group', models.CharField(blank=True, help_text='filer group; empty: the default one', max_length=128)),
                ('attached', models.BooleanField(default=True)),
                ('attached_by', models.CharField(max_length=150)),
                ('attached_at_ns', models.BigIntegerField()),
                ('canary', models.BooleanField(default=False, help_text='take and release a lock at each filer from time to time')),
                ('state', models.CharField(default='unknown', max_length=16)),
                ('leader', models.CharField(blank=True, max_length=255)),
                ('trouble', models.TextField(blank=True, help_text='what is wrong now; empty: nothing that is known')),
                ('heard_at_ns', models.BigIntegerField(help_text='wall clock of the last word of a master', null=True)),
                ('seen_at_ns', models.BigIntegerField(help_text='wall clock, when it was last being watched', null=True)),
            ],
        ),
        migrations.CreateModel(
            name='ObservedEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at_ns', models.BigIntegerField(help_text='wall clock, when we were told')),
                ('kind', models.CharField(max_length=16)),
                ('address', models.CharField(blank=True, max_length=255)),
                ('version', models.BigIntegerField(default=0)),
                ('text', models.TextField(blank=True)),
                ('cluster', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='observing.observedcluster')),
            ],
            options={
                'indexes': [models.Index(fields=['cluster', 'id'], name='observing_event_cluster'), models.Index(fields=['cluster', 'kind', 'id'], name='observing_event_kind')],
            },
        ),
        migrations.CreateModel(
            name='ObservedFiler',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', models.CharField(max_length=255)),
                ('number', models.IntegerField()),
                ('on_ring', models.BooleanField(default=False)),
                ('connected', models.BooleanField(help_text='to the master, as that says; empty: it has not said', null=True)),
                ('since_ns', models.BigIntegerField(help_text='wall clock, since when it is on the ring or off it')),
                ('software', models.CharField(blank=True, help_text='what it says it is; empty: not asked yet', max_length=64)),
                ('canary', models.JSONField(default=dict, help_text='how the last canary did; empty: none was tried')),
                ('cluster', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='filers', to='observing.observedcluster')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('cluster', 'address'), name='observing_filer_once')],
            },
        ),
        migrations.CreateModel(
            name='ObservedRing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.BigIntegerField()),
                ('servers', models.JSONField(help_text='ring addresses, as the master writes them')),
                ('at_ns', models.BigIntegerField(help_text='wall clock, when we were told')),
                ('renewed', models.BigIntegerField(help_text='the newest version that was told with the same members')),
                ('cluster', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='rings', to='observing.observedcluster')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('cluster', 'version'), name='observing_version_once')],
            },
        ),
    ]
